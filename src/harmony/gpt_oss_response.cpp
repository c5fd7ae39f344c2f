// The user's own parser was a Python regular expression; this scanner gives the same results in linear time:
//
//     (?:<\|start\|>assistant)?(?:
//     to=[\w\.]+)?<\|channel\|>(\w+)<\|message\|>(.*?)(?=<\|start\||<\|end\||<\|return\||$)
//
// Both groups before <|channel|> are optional, so they decide nothing and the scanner does not look at them. The
// markers that end a content lack their closing '>' in the expression, and so they do here.

#include <algorithm>

#include "base/utf8.h"
#include "chorus/harmony.h"
#include "harmony/characters.h"

namespace chorus {
namespace {

constexpr std::string_view channel_marker = "<|channel|>", message_marker = "<|message|>";

size_t end_of_word(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint c = decode_utf8(text, at);
    if (!harmony::is_word_character(c.value)) break;
    at += c.size;
  }
  return at;
}

size_t end_of_content(std::string_view text, size_t at) {
  for (at = text.find("<|", at); at != text.npos; at = text.find("<|", at + 2)) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("<|start|") || rest.starts_with("<|end|") || rest.starts_with("<|return|")) return at;
  }
  return text.size();
}

void keep(GptOssResponse& response, std::string_view channel, std::string_view content) {
  if (channel == "analysis") {
    response.reasoning = content;
  } else if (channel == "final") {
    response.message = content;
  } else if (content.empty()) {
    return;
  } else if (channel == "reasoning") {  // the regular expression's results were one dictionary
    response.reasoning = content;
  } else if (channel == "message") {
    response.message = content;
  } else {
    const auto same = std::find_if(response.channels.begin(), response.channels.end(),
                                   [&](const auto& known) { return known.first == channel; });
    if (same != response.channels.end()) {
      same->second = content;
    } else {
      response.channels.emplace_back(channel, content);
    }
  }
}

}  // namespace

GptOssResponse parse_gpt_oss_response(std::string_view bytes) {
  std::string valid;
  if (!is_utf8(bytes)) bytes = valid = replace_invalid_utf8(bytes);
  const std::string_view text = bytes;

  GptOssResponse response;
  for (size_t at = text.find(channel_marker); at != text.npos; at = text.find(channel_marker, at)) {
    const size_t word = at + channel_marker.size();
    const size_t word_end = end_of_word(text, word);
    at = word_end;
    if (word_end == word || !text.substr(word_end).starts_with(message_marker)) continue;
    const size_t content = word_end + message_marker.size();
    at = end_of_content(text, content);
    keep(response, text.substr(word, word_end - word), harmony::strip(text.substr(content, at - content)));
  }
  return response;
}

}  // namespace chorus
