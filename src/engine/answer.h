#pragma once

#include <memory>
#include <span>

#include "chorus/result.h"
#include "engine/tokenizer_state.h"
#include "harmony/answer_parser.h"

namespace chorus::engine {

/// How the models of a folder answer, by its templates and its vocabulary (null: not known).
harmony::AnswerFormat answer_format(const chat::ChatTemplates& templates, const tokenizer::Tokenizer* tokenizer);

/// The parser for what follows a prompt that offers these tools, in the format of the tokenizer's model.
std::unique_ptr<harmony::AnswerParser> answer_parser(const Tokenizer::State& tokenizer,
                                                     std::span<const int32_t> prompt, const Json& tools = nullptr);

/// Writes message, reasoning, channels, tool_calls, malformed and reasoning_tokens.
void put(harmony::Answer answer, Result& result);

}  // namespace chorus::engine
