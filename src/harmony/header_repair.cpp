// What to make of headers that do not follow the grammar of header.cpp.
#include <algorithm>
#include <vector>

#include "base/utf8.h"
#include "harmony/characters.h"
#include "harmony/header.h"
#include "harmony/markers.h"

namespace chorus::harmony {
namespace {

constexpr std::string_view channel_marker = "<|channel|>", constrain_marker = "<|constrain|>";

std::optional<std::string_view> recipient_in(std::string_view word) {
  if (!word.starts_with("to=")) return std::nullopt;
  return word.substr(3);
}

size_t end_of_word(std::string_view text, size_t at) {
  while (at < text.size() && !is_space(decode_utf8(text, at).value) &&
         (text[at] != '<' || marker_at(text.substr(at)) == Marker::none))
    at += decode_utf8(text, at).size;
  return at;
}

// Reads a broken header word by word.
class HeaderRepair {
 public:
  explicit HeaderRepair(std::optional<Role> role) : given_(role) { header_.role = role.value_or(Role::assistant); }

  void add(std::string_view word, Marker before) {
    if (before == Marker::channel) {
      header_.channel = word;
    } else if (before == Marker::constrain) {
      types_.push_back(std::string(constrain_marker) + std::string(word));
    } else if (recipient_in(word) && !header_.recipient) {
      header_.recipient = *recipient_in(word);
    } else if (first_) {
      add_speaker(word);
    } else {
      types_.emplace_back(word);
    }
    first_ = first_ && before == Marker::channel;
  }

  Header finish() {
    for (const std::string& type : types_)
      header_.content_type = header_.content_type ? *header_.content_type + " " + type : type;
    if (unknown_speaker_ && header_.recipient) header_.role = Role::tool;
    return header_;
  }

 private:
  void add_speaker(std::string_view word) {
    const std::string_view role = word.substr(0, word.find(':'));
    if (given_) {
      if (word != to_string(*given_)) types_.emplace_back(word);
    } else if (role_named(word)) {
      header_.role = *role_named(word);
      if (header_.role == Role::tool) header_.name = word;
    } else if (role_named(role)) {  // "user:bob"
      header_.role = *role_named(role);
      header_.name = word.substr(role.size() + 1);
    } else if (is_known_channel(word)) {  // "<|start|>final"
      header_.channel = word;
    } else if (word.starts_with("assistant") && is_known_channel(word.substr(9))) {  // "assistantfinal"
      header_.channel = word.substr(9);
    } else {
      header_.name = word;
      unknown_speaker_ = true;
    }
  }

  std::optional<Role> given_;
  Header header_;
  std::vector<std::string> types_;
  bool first_ = true, unknown_speaker_ = false;
};

}  // namespace

Header repair_header(std::string_view bytes, std::optional<Role> role) {
  const std::string valid = replace_invalid_utf8(bytes);
  const std::string_view text = valid;
  HeaderRepair repair(role);
  Marker before = Marker::none;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const Marker marker = c.value == '<' ? marker_at(text.substr(at)) : Marker::none;
    if (marker != Marker::none) {
      before = marker;
      at += marker_text(marker).size();
    } else if (is_space(c.value)) {
      at += c.size;
    } else {
      const size_t end = end_of_word(text, at);
      repair.add(text.substr(at, end - at), before);
      before = Marker::none;
      at = end;
    }
  }
  return repair.finish();
}

Message message_without_marker(std::string_view bytes, std::optional<Role> role) {
  Message message;
  message.role = role.value_or(Role::assistant);
  std::string text = replace_invalid_utf8(bytes);
  if (const size_t at = text.find(channel_marker); at != text.npos) {
    const size_t name = at + channel_marker.size(), end = end_of_word(text, name);
    if (end > name) message.channel = text.substr(name, end - name);
    text.erase(at, end - at);
  }
  std::string_view rest = strip(text);
  const std::string_view first = rest.substr(0, end_of_word(rest, 0));
  const std::optional<Role> said = role_named(first);
  if (said && (!role || *said == *role)) {
    message.role = *said;
    rest = strip(rest.substr(first.size()));
  }
  message.content = rest;
  return message;
}

bool is_unfinished_header(const Message& message, std::optional<Role> role) {
  const std::string_view text = message.content;
  if (text.empty() || text.starts_with("to=") || text.starts_with(constrain_marker)) return true;
  constexpr std::string_view beginnings[] = {"system", "developer", "user", "assistant", "tool"};
  return !role && std::any_of(std::begin(beginnings), std::end(beginnings),
                              [&](std::string_view full) { return full.starts_with(text); });
}

}  // namespace chorus::harmony
