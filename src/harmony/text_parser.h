#pragma once

#include <string>
#include <string_view>

#include "chorus/json.h"
#include "harmony/parser.h"

namespace chorus::harmony {

/// Harmony text in pieces cut anywhere; here the markers' strings delimit.
class TextParser {
 public:
  explicit TextParser(const ParserOptions& options = {}) : parser_({}, options) {}

  void feed(std::string_view text);
  void finish();
  const Parser& parser() const { return parser_; }

 private:
  Parser parser_;
  std::string held_;  // what may be the beginning of a marker or of a character
};

/// What `chorus parse` prints for a text: {"reasoning", "message", other channels by name, "tool_calls" if there are
/// any, "messages", "malformed"}. The channels are those of parse_gpt_oss_response. The text begins at <|start|> or where a
/// completion begins.
Json parse_text(std::string_view text);

Json to_json(const Message& message);

}  // namespace chorus::harmony
