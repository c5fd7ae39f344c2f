#include "harmony/answer_parser.h"

#include "harmony/harmony_answer.h"
#include "harmony/tagged_answer.h"

namespace chorus::harmony {

std::unique_ptr<AnswerParser> make_answer_parser(const AnswerFormat& format, std::string_view prompt_end,
                                                 const Json& tools) {
  if (format.harmony) return std::make_unique<HarmonyAnswer>(*format.harmony, prompt_end);
  return std::make_unique<TaggedAnswer>(format, prompt_end, tools);  // plain text has no tags
}

}  // namespace chorus::harmony
