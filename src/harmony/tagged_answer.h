#pragma once

#include "harmony/answer_parser.h"
#include "harmony/json_text.h"

namespace chorus::harmony {

/// Answers that are text with tags in it: reasoning first, then the message, blocks of tool calls anywhere in it.
///
///     <think>\nThe weather is asked for.\n</think>\n\nI look it up.\n<tool_call>\n{...}\n</tool_call>
///
/// White space beside what is taken out goes with it. A block that cannot be read stays in the message as it is.
class TaggedAnswer : public AnswerParser {
 public:
  TaggedAnswer(const AnswerFormat& format, std::string_view prompt_end, const Json& tools);

  void feed(int32_t token, std::string_view piece) override;
  void feed_text(std::string_view text) override;
  void finish() override;
  AnswerPart part() const override;

 private:
  enum class State { beginning, reasoning, text, block, bare_json };

  // Each takes what it can from the front of rest_ and says whether the state has changed.
  bool step();
  bool begin();
  bool step_reasoning();
  bool step_text();
  bool step_block();
  bool step_bare_json();

  void give(std::optional<std::string>& to, std::string_view text);
  void end_block(std::string_view body, bool closed);
  void message_was_reasoning();
  std::string_view take(size_t size);
  bool in_reasoning() const;

  AnswerFormat format_;
  ParameterTypes types_;
  State state_ = State::beginning;
  bool opened_ = false;              // the prompt has opened the reasoning
  bool may_close_unopened_ = false;  // it has not closed it either
  bool at_end_ = false;

  std::string undecoded_;  // the beginning of a character
  std::string text_;       // not taken yet, from taken_ on
  size_t taken_ = 0;
  size_t searched_ = 0;          // of a block's text: has no end that counts
  std::optional<bool> is_json_;  // a block's text, once it has begun
  JsonExtent block_json_;        // of a block's text, as far as searched
  bool trust_marks_ = false;     // a block's JSON never ended: the next ones end at their mark
  std::string spaces_;           // white space that only counts if text follows
  bool after_block_ = false;     // something was taken out before what follows
};

}  // namespace chorus::harmony
