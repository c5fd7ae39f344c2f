#include "harmony/header.h"

#include <algorithm>
#include <vector>

#include "base/utf8.h"
#include "harmony/characters.h"
#include "harmony/markers.h"

namespace chorus::harmony {
namespace {

constexpr std::string_view channel_marker = "<|channel|>", constrain_marker = "<|constrain|>";

struct ChannelSplit {
  bool marker = false;
  std::string channel;  // empty where the marker has no name behind it
  std::string rest;     // the text without marker and name
};

// The first <|channel|> and its name, which white space or a '<' ends.
ChannelSplit split_channel(std::string_view text) {
  const size_t at = text.find(channel_marker);
  if (at == text.npos) return {false, {}, std::string(text)};
  const size_t begin = at + channel_marker.size();
  size_t end = begin;
  while (end < text.size()) {
    const CodePoint c = decode_utf8(text, end);
    if (c.value == '<' || is_space(c.value)) break;
    end += c.size;
  }
  return {true, std::string(text.substr(begin, end - begin)),
          std::string(text.substr(0, at)) + std::string(text.substr(end))};
}

// "to=f<|constrain|>json" is two words.
std::string space_before_constrain(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t next = std::min(text.find(constrain_marker, at), text.size());
    out += text.substr(at, next - at);
    if (next == text.size()) break;
    (out += ' ') += constrain_marker;
    at = next + constrain_marker.size();
  }
  return out;
}

std::optional<std::string_view> recipient_in(std::string_view word) {
  if (!word.starts_with("to=")) return std::nullopt;
  return word.substr(3);
}

bool has_marker(std::string_view text) {
  for (size_t at = text.find("<|"); at != text.npos; at = text.find("<|", at + 1))
    if (marker_at(text.substr(at)) != Marker::none) return true;
  return false;
}

// The first word of a header that gives no role itself: takes it off the words when it says who speaks.
bool read_role(std::vector<std::string_view>& words, Header& header) {
  if (words.empty()) return false;
  const std::string_view first = words[0];
  if (const auto role = role_named(first)) {
    header.role = *role;
    words.erase(words.begin());
  } else if (words.size() > 1 || recipient_in(first)) {  // a tool speaks under its own name
    header.role = Role::tool;
    words.erase(words.begin());
  } else {
    return false;
  }
  if (header.role == Role::tool) header.name = first;
  return true;
}

}  // namespace

std::optional<Header> parse_header(std::string_view text, std::optional<Role> role) {
  if (!is_utf8(text)) return std::nullopt;
  const ChannelSplit split = split_channel(text);
  if (split.marker && split.channel.empty()) return std::nullopt;
  Header header;
  if (split.marker) header.channel = split.channel;
  const std::string spaced = space_before_constrain(strip(split.rest));
  std::vector<std::string_view> words = split_words(strip(spaced));

  if (role) {
    header.role = *role;
    if (!words.empty() && words[0] == to_string(*role)) words.erase(words.begin());
  } else if (!read_role(words, header)) {
    return std::nullopt;
  }
  if (words.empty()) return header;
  if (words.size() > 2) return std::nullopt;

  const std::string_view last = words.back();
  if (const auto recipient = recipient_in(last)) {
    if (words.size() > 1) return std::nullopt;
    header.recipient = *recipient;
  } else if (words.size() == 1) {
    header.recipient = last;
  } else {
    header.content_type = last;
    header.recipient = recipient_in(words[0]).value_or(words[0]);
  }
  return header;
}

bool is_well_formed(const Header& header, std::string_view text, std::optional<Role> role) {
  const std::string type = header.content_type.value_or("");
  const std::string_view type_name =
      type.starts_with(constrain_marker) ? std::string_view(type).substr(constrain_marker.size()) : type;
  for (const auto* part : {&header.recipient, &header.channel})
    if (*part && ((*part)->empty() || has_marker(**part))) return false;
  if (header.content_type && (type_name.empty() || has_marker(type_name))) return false;
  if (!header.channel && (header.role == Role::assistant || header.role == Role::tool)) return false;

  const std::string speaker(header.role == Role::tool && header.name ? *header.name : to_string(header.role));
  const std::string to = header.recipient ? " to=" + *header.recipient : "";
  const std::string channel = header.channel ? std::string(channel_marker) + *header.channel : "";
  std::vector<std::string> types = {type.empty() ? "" : " " + type};
  if (type.starts_with(constrain_marker)) types.push_back(type);
  for (const std::string& who : {speaker, std::string()})
    for (const std::string& address : {to + channel, channel + to})
      for (const std::string& ending : types)
        if ((role || !who.empty()) && text == who + address + ending) return true;
  return false;
}

namespace {

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
      size_t end = at;
      while (end < text.size() && !is_space(decode_utf8(text, end).value) &&
             (text[end] != '<' || marker_at(text.substr(end)) == Marker::none))
        end += decode_utf8(text, end).size;
      repair.add(text.substr(at, end - at), before);
      before = Marker::none;
      at = end;
    }
  }
  return repair.finish();
}

Message message_without_marker(std::string_view bytes, std::optional<Role> role) {
  const std::string valid = replace_invalid_utf8(bytes);
  const ChannelSplit split = split_channel(valid);
  Message message;
  message.role = role.value_or(Role::assistant);
  if (!split.channel.empty()) message.channel = split.channel;
  std::string_view rest = strip(split.rest);
  const std::vector<std::string_view> words = split_words(rest);
  if (!words.empty()) {
    const std::optional<Role> said = role_named(words[0]);
    if (said && (!role || *said == *role)) {
      message.role = *said;
      rest = strip(rest.substr(words[0].size()));
    }
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
