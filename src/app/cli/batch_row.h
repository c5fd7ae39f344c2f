#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "chorus/chat.h"
#include "chorus/request.h"

namespace chorus::cli {

/// What every row has that says nothing else: the command line's options.
struct RowDefaults {
  SamplingParams sampling;
  StopRules stop;
  bool raw = false;  ///< prompts are text as it is, without the chat template
};

struct RawText {
  std::string text;
};

/// One prompt of a batch, as its input line gives it.
struct BatchRow {
  int64_t line = 0;                  ///< in the input, from 1
  std::string id;                    ///< the line's number where it gives none
  std::optional<std::string> error;  ///< why this row cannot run

  std::variant<TokenIds, RawText, Json> prompt;  ///< Json: the messages, for the chat template
  std::optional<Json> tools;
  Json template_kwargs = Json::object();

  SamplingParams sampling;
  StopRules stop;
  int priority = 0;
  uint64_t row_key = 0;
};

/// A line of a .txt file: the prompt.
BatchRow row_of_text(std::string_view text, int64_t line, const RowDefaults& defaults);

/// A JSON line (docs/formats.md): a string; {"id", "prompt" | "messages" | "tokens", parameters...}; or OpenAI's
/// {"custom_id", "body": {...}}. Never throws: what is wrong with the line stands in the row's error.
BatchRow row_of_json(std::string_view text, int64_t line, const RowDefaults& defaults);

}  // namespace chorus::cli
