// The grammar of a header, from the description of the format ("OpenAI harmony response format") and from what its
// reference implementation accepts in the goldens:
//
//     header    = [speaker] {address | channel} [type]
//     speaker   = "system" | "developer" | "user" | "assistant" | a tool's name, such as "functions.f"
//     address   = "to=" recipient
//     channel   = "<|channel|>" name
//     type      = "<|constrain|>json", "json", "code", ...
//
// The parts are apart by spaces, but a marker needs none before it. The channel's name ends at white space or at
// the next marker and may stand in the middle of the rest.
#include "harmony/header.h"

#include <utility>
#include <vector>

#include "base/utf8.h"
#include "harmony/characters.h"
#include "harmony/markers.h"

namespace chorus::harmony {
namespace {

constexpr std::string_view channel_marker = "<|channel|>", constrain_marker = "<|constrain|>";

// A header cut up: the channel, and the other parts in their order.
class HeaderParts {
 public:
  explicit HeaderParts(std::string_view text) {
    while (!text.empty()) text.remove_prefix(take(text));
    end_part();
  }

  const std::optional<std::string>& channel() const { return channel_; }
  size_t size() const { return parts_.size() - used_; }
  const std::string& front() const { return parts_[used_]; }
  std::string next() { return std::move(parts_[used_++]); }

 private:
  // Takes what the text begins with and returns its length.
  size_t take(std::string_view text) {
    if (!channel_ && text.starts_with(channel_marker)) {
      channel_ = name_at(text.substr(channel_marker.size()));
      return channel_marker.size() + channel_->size();
    }
    if (text.starts_with(constrain_marker)) {
      end_part();
      part_ = constrain_marker;
      return constrain_marker.size();
    }
    const CodePoint c = decode_utf8(text, 0);
    if (is_space(c.value))
      end_part();
    else
      part_ += text.substr(0, c.size);
    return c.size;
  }

  static std::string name_at(std::string_view text) {
    size_t size = 0;
    while (size < text.size() && text[size] != '<') {
      const CodePoint c = decode_utf8(text, size);
      if (is_space(c.value)) break;
      size += c.size;
    }
    return std::string(text.substr(0, size));
  }

  void end_part() {
    if (!part_.empty()) parts_.push_back(std::exchange(part_, {}));
  }

  std::optional<std::string> channel_;
  std::vector<std::string> parts_;
  std::string part_;  // in progress
  size_t used_ = 0;
};

bool is_address(std::string_view part) {
  return part.starts_with("to=");
}

// The role that the speaker names, if it is one; anything else is the name of a tool, but only where more follows
// (a word alone could as well be a misspelt role) or where an address stands in the speaker's place.
bool take_speaker(HeaderParts& parts, Header& header) {
  if (parts.size() == 0) return false;
  const std::optional<Role> role = role_named(parts.front());
  if (!role && parts.size() == 1 && !is_address(parts.front())) return false;
  header.role = role.value_or(Role::tool);
  std::string speaker = parts.next();
  if (header.role == Role::tool) header.name = std::move(speaker);
  return true;
}

bool has_marker(std::string_view text) {
  for (size_t at = text.find("<|"); at != text.npos; at = text.find("<|", at + 1))
    if (marker_at(text.substr(at)) != Marker::none) return true;
  return false;
}

}  // namespace

std::optional<Header> parse_header(std::string_view text, std::optional<Role> role) {
  if (!is_utf8(text)) return std::nullopt;
  HeaderParts parts(text);
  Header header;
  header.channel = parts.channel();
  if (header.channel == "") return std::nullopt;
  if (!role) {
    if (!take_speaker(parts, header)) return std::nullopt;
  } else {
    header.role = *role;
    if (parts.size() > 0 && parts.front() == to_string(*role)) parts.next();
  }

  if (parts.size() > 2) return std::nullopt;
  if (parts.size() > 0) {
    std::string recipient = parts.next();
    header.recipient = is_address(recipient) ? recipient.substr(3) : std::move(recipient);
  }
  if (parts.size() > 0) {
    if (is_address(parts.front())) return std::nullopt;
    header.content_type = parts.next();
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

}  // namespace chorus::harmony
