#include "engine/answer.h"

#include <algorithm>

namespace chorus::engine {
namespace {

/// Several messages of one channel read as one text.
void append(std::optional<std::string>& text, const std::string& more) {
  if (!text) text = more;
  else *text += "\n" + more;
}

void append(std::vector<std::pair<std::string, std::string>>& channels, const std::string& name, const std::string& text) {
  const auto it = std::find_if(channels.begin(), channels.end(), [&](const auto& c) { return c.first == name; });
  if (it == channels.end()) channels.emplace_back(name, text);
  else it->second += "\n" + text;
}

constexpr std::string_view functions = "functions.";

}  // namespace

AnswerParser::AnswerParser(const Tokenizer::State* tokenizer) : has_text_(tokenizer != nullptr) {
  if (tokenizer != nullptr && tokenizer->harmony) harmony_.emplace(*tokenizer->harmony);
}

void AnswerParser::feed(int32_t token, std::string_view piece) {
  if (harmony_) harmony_->feed(token, piece);
}

void AnswerParser::feed_text(std::string_view text) {
  if (harmony_) harmony_->feed_text(text);
}

bool AnswerParser::in_reasoning() const {
  return harmony_ && harmony_->header() != nullptr && harmony_->header()->channel == "analysis";
}

void AnswerParser::finish(Result& result) {
  if (!harmony_) {
    if (has_text_) result.message = result.text;
    return;
  }
  harmony_->finish();
  result.malformed = harmony_->malformed();
  result.reasoning_tokens = harmony_->reasoning_tokens();
  for (const harmony::Message& m : harmony_->messages()) {
    if (m.recipient && m.recipient->starts_with(functions)) {
      result.tool_calls.push_back({{"type", "function"},
                                   {"function", {{"name", m.recipient->substr(functions.size())},
                                                 {"arguments", m.content}}}});
    } else if (m.channel == "analysis") {
      append(result.reasoning, m.content);
    } else if (m.channel == "final" || !m.channel) {
      append(result.message, m.content);
    } else {
      append(result.channels, *m.channel, m.content);
    }
  }
}

}  // namespace chorus::engine
