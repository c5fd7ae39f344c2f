#include "harmony/text_parser.h"

#include <algorithm>

#include "base/utf8.h"
#include "chorus/harmony.h"
#include "harmony/harmony_answer.h"

namespace chorus::harmony {
namespace {

constexpr size_t longest_marker = std::string_view("<|constrain|>").size();

// Where the part of the text begins that more text could turn into a marker.
size_t open_marker(std::string_view text) {
  const size_t from = text.size() - std::min(text.size(), longest_marker - 1);
  const size_t at = text.find('<', from);
  return std::min(at, text.size());
}

}  // namespace

void TextParser::feed(std::string_view text) {
  held_ += text;
  size_t done = 0;
  for (size_t at = held_.find("<|"); at != held_.npos; at = held_.find("<|", at)) {
    const Marker marker = marker_at(std::string_view(held_).substr(at));
    if (marker == Marker::none) {
      at += 2;
      continue;
    }
    parser_.feed_text(replace_invalid_utf8(std::string_view(held_).substr(done, at - done)));
    parser_.feed_marker(marker);
    at += marker_text(marker).size();
    done = at;
  }
  const std::string_view rest = std::string_view(held_).substr(done);
  const size_t ready = complete_utf8_prefix(rest.substr(0, open_marker(rest)));
  parser_.feed_text(replace_invalid_utf8(rest.substr(0, ready)));
  held_.erase(0, done + ready);
}

void TextParser::finish() {
  parser_.feed_text(replace_invalid_utf8(held_));
  held_.clear();
  parser_.finish();
}

Json to_json(const Message& message) {
  const auto or_null = [](const std::optional<std::string>& part) { return part ? Json(*part) : Json(); };
  Json json = {{"role", to_string(message.role)},
               {"channel", or_null(message.channel)},
               {"recipient", or_null(message.recipient)},
               {"content_type", or_null(message.content_type)},
               {"content", message.content}};
  if (message.name) json["name"] = *message.name;
  return json;
}

Json parse_text(std::string_view text) {
  ParserOptions options{.strict = true};
  if (text.starts_with(marker_text(Marker::start))) options.start_role.reset();
  TextParser parser(options);
  parser.feed(text);
  parser.finish();

  const GptOssResponse response = parse_gpt_oss_response(text);
  Json result;
  result["reasoning"] = response.reasoning ? Json(*response.reasoning) : Json();
  result["message"] = response.message ? Json(*response.message) : Json();
  Json messages = Json::array(), calls = Json::array();
  for (const Message& message : parser.parser().messages()) {
    messages.push_back(to_json(message));
    if (auto call = tool_call_of(message)) calls.push_back(*std::move(call));
  }
  for (const auto& [channel, content] : response.channels)
    if (channel != "messages" && channel != "malformed" && channel != "tool_calls")  // our own keys
      result[channel] = content;
  if (!calls.empty()) result["tool_calls"] = std::move(calls);
  result["messages"] = std::move(messages);
  result["malformed"] = parser.parser().malformed();
  return result;
}

}  // namespace chorus::harmony
