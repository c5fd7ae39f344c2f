#include "harmony/harmony_answer.h"

#include <algorithm>

namespace chorus::harmony {
namespace {

constexpr std::string_view functions = "functions.";

std::string_view behind_last_start(std::string_view prompt_end) {
  const std::string_view start = marker_text(Marker::start);
  const size_t at = prompt_end.rfind(start);
  return at == prompt_end.npos ? to_string(Role::assistant) : prompt_end.substr(at + start.size());
}

ParserOptions options_for(std::string_view header) {
  return {.start_role = header == to_string(Role::assistant) ? std::optional(Role::assistant) : std::nullopt};
}

AnswerPart part_of(const Header& header) {
  if (header.role != Role::assistant) return AnswerPart::none;
  if (header.recipient && header.recipient != "all") return AnswerPart::tool_call;
  if (header.channel == "analysis") return AnswerPart::reasoning;
  return !header.channel || header.channel == "final" ? AnswerPart::message : AnswerPart::channel;
}

}  // namespace

std::optional<Json> tool_call_of(const Message& message, size_t from) {
  if (part_of(message) != AnswerPart::tool_call) return std::nullopt;
  std::string_view name = *message.recipient;
  if (name.starts_with(functions)) name.remove_prefix(functions.size());
  return tool_call(name, std::string_view(message.content).substr(from));
}

HarmonyAnswer::HarmonyAnswer(const HarmonyTokens& tokens, std::string_view prompt_end)
    : parser_(tokens, options_for(behind_last_start(prompt_end))) {
  std::string_view begun = behind_last_start(prompt_end);
  if (begun == to_string(Role::assistant)) return;
  parser_.feed_marker(Marker::start);  // the prompt has more of a message, or all of it
  while (!begun.empty()) {
    const size_t text = std::min(begun.find("<|", begun.starts_with("<|") ? 2 : 0), begun.size());
    const Marker marker = marker_at(begun);
    if (marker != Marker::none)
      parser_.feed_marker(marker);
    else
      parser_.feed_text(begun.substr(0, text));
    begun.remove_prefix(marker != Marker::none ? marker_text(marker).size() : text);
  }
  finished_ = parser_.messages().size();
  given_ = parser_.content().size();
}

void HarmonyAnswer::feed(int32_t token, std::string_view piece) {
  parser_.feed(token, piece);
  follow();
}

void HarmonyAnswer::feed_text(std::string_view text) {
  parser_.feed_text(text);
  follow();
}

void HarmonyAnswer::finish() {
  parser_.finish();
  follow();
}

AnswerPart HarmonyAnswer::part() const {
  return parser_.header() != nullptr ? part_of(*parser_.header()) : AnswerPart::none;
}

void HarmonyAnswer::follow() {
  for (; finished_ < parser_.messages().size(); ++finished_) {
    const Message& message = parser_.messages()[finished_];
    give(message, message.content);
    end_message(message);
  }
  if (parser_.header() != nullptr) give(*parser_.header(), parser_.content());
  answer_.malformed = parser_.malformed() || other_role_;
  answer_.reasoning_tokens = parser_.reasoning_tokens();
}

void HarmonyAnswer::give(const Header& header, std::string_view content) {
  const AnswerPart part = part_of(header);
  if (part == AnswerPart::none || part == AnswerPart::tool_call) return;
  std::string& text = text_of(header);
  text += content.substr(given_);
  given_ = content.size();
}

std::string& HarmonyAnswer::text_of(const Header& header) {
  std::string* text = nullptr;
  bool is_new = false;
  const auto place = [&](std::optional<std::string>& field) {
    is_new = !field;
    text = is_new ? &field.emplace() : &*field;
  };
  if (part_of(header) == AnswerPart::reasoning) {
    place(answer_.reasoning);
  } else if (part_of(header) == AnswerPart::message) {
    place(answer_.message);
  } else {
    auto& channels = answer_.channels;
    auto it =
        std::find_if(channels.begin(), channels.end(), [&](const auto& c) { return c.first == *header.channel; });
    is_new = it == channels.end();
    text = is_new ? &channels.emplace_back(*header.channel, "").second : &it->second;
  }
  if (!begun_ && !is_new) *text += '\n';
  begun_ = true;
  return *text;
}

void HarmonyAnswer::end_message(const Message& message) {
  if (auto call = tool_call_of(message, given_)) answer_.tool_calls.push_back(*std::move(call));
  other_role_ |= message.role != Role::assistant;
  begun_ = false;
  given_ = 0;
}

}  // namespace chorus::harmony
