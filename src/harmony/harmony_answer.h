#pragma once

#include "harmony/answer_parser.h"
#include "harmony/parser.h"

namespace chorus::harmony {

/// Answers in harmony's channels. Several messages of one channel are one text, with line breaks between; a
/// message to a recipient is a tool call, "functions." left out; what the model writes in another role is not its
/// answer.
class HarmonyAnswer : public AnswerParser {
 public:
  HarmonyAnswer(const HarmonyTokens& tokens, std::string_view prompt_end);

  void feed(int32_t token, std::string_view piece) override;
  void feed_text(std::string_view text) override;
  void finish() override;
  AnswerPart part() const override;

 private:
  void follow();
  void give(const Header& header, std::string_view content);
  void end_message(const Message& message);
  std::string& text_of(const Header& header);

  Parser parser_;
  size_t finished_ = 0;  // messages of the parser
  bool begun_ = false;   // the message in progress has a place in the answer
  size_t given_ = 0;     // of its content
  bool other_role_ = false;
};

/// The call that a message of the assistant to a recipient is; its content counts from that byte on.
std::optional<Json> tool_call_of(const Message& message, size_t from = 0);

}  // namespace chorus::harmony
