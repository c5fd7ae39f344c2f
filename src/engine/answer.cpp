#include "engine/answer.h"

#include <algorithm>
#include <utility>

namespace chorus::engine {
namespace {

// Tokens of a prompt that say where its answer begins: a header or a tag that a template ends in.
constexpr size_t telling_tokens = 32;

}  // namespace

harmony::AnswerFormat answer_format(const chat::ChatTemplates& templates, const tokenizer::Tokenizer* tokenizer) {
  std::string texts;
  for (const std::string& name : templates.names()) texts += templates.source(name);
  return harmony::detect_format(texts, [&](std::string_view token) {
    return tokenizer != nullptr ? tokenizer->token_to_id(token) : std::nullopt;
  });
}

std::unique_ptr<harmony::AnswerParser> answer_parser(const Tokenizer::State& tokenizer,
                                                     std::span<const int32_t> prompt, const Json& tools) {
  const std::span<const int32_t> end = prompt.last(std::min(prompt.size(), telling_tokens));
  return harmony::make_answer_parser(tokenizer.answer_format, tokenizer.tokenizer->decode(end), tools);
}

void put(harmony::Answer answer, Result& result) {
  result.message = std::move(answer.message);
  result.reasoning = std::move(answer.reasoning);
  result.channels = std::move(answer.channels);
  result.tool_calls = std::move(answer.tool_calls);
  result.malformed = answer.malformed;
  result.reasoning_tokens = answer.reasoning_tokens;
}

}  // namespace chorus::engine
