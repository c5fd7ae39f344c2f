#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/json.h"
#include "harmony/answer_format.h"

namespace chorus::harmony {

/// A completion taken apart.
struct Answer {
  std::optional<std::string> message;  ///< what is meant for the user
  std::optional<std::string> reasoning;
  std::vector<std::pair<std::string, std::string>> channels;  ///< harmony's others, by name
  Json tool_calls = Json::array();                            ///< in OpenAI's form, as tool_call() makes them
  bool malformed = false;  ///< not written as the format has it; nothing of the text is lost
  int64_t reasoning_tokens = 0;

  bool operator==(const Answer&) const = default;
};

/// What the text of the moment belongs to. `none`: a header, a mark, the space between.
enum class AnswerPart { none, reasoning, message, channel, tool_call };

/// A growing completion in, the answer out, at every token as far as it goes. Takes any text and never throws.
class AnswerParser {
 public:
  virtual ~AnswerParser() = default;

  /// A token and the text that a streaming detokenizer gave out after it (which may belong to earlier tokens).
  virtual void feed(int32_t token, std::string_view piece) = 0;
  /// Text alone, cut anywhere.
  virtual void feed_text(std::string_view text) = 0;
  /// The end: what was held back is given out, nothing may follow.
  virtual void finish() = 0;
  virtual AnswerPart part() const = 0;

  /// As far as it goes: whole characters, complete tool calls. Its texts only grow, but for this: the end of a
  /// reasoning that never began shows that what seemed the message was reasoning.
  const Answer& answer() const { return answer_; }

 protected:
  Answer answer_;
};

/// `prompt_end`: the last characters of the prompt, special tokens included, as far as known. They say where the
/// answer begins: behind <|start|>assistant, inside of a reasoning that the template has opened, ...
/// `tools`: those of the prompt, in OpenAI's form. They type the values of calls that are written without types.
std::unique_ptr<AnswerParser> make_answer_parser(const AnswerFormat& format, std::string_view prompt_end = {},
                                                 const Json& tools = nullptr);

}  // namespace chorus::harmony
