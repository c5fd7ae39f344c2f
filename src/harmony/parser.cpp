#include "harmony/parser.h"

#include <utility>

#include "base/utf8.h"
#include "harmony/header.h"

namespace chorus::harmony {
namespace {

bool spells_marker(const std::optional<std::string>& part) {
  return part && part->find("<|") != part->npos;
}

}  // namespace

Parser::Parser(const HarmonyTokens& tokens, const ParserOptions& options)
    : tokens_(tokens), strict_(options.strict) {
  if (options.start_role) begin_header(options.start_role);
}

void Parser::feed(int32_t token, std::string_view piece) {
  const Marker marker = tokens_.marker(token);
  if (marker == Marker::none) {
    take(Marker::none, piece);
    if (state_ == State::content && current_.channel == "analysis") ++reasoning_tokens_;
    return;
  }
  if (piece.ends_with(marker_text(marker))) piece.remove_suffix(marker_text(marker).size());
  if (!piece.empty()) take(Marker::none, piece);
  take(marker, {});
}

void Parser::feed_marker(Marker marker) {
  take(marker, {});
}

void Parser::feed_text(std::string_view bytes) {
  take(Marker::none, bytes);
}

void Parser::finish() {
  if (state_ == State::content) {
    finish_message();
  } else if (state_ == State::header) {
    if (strict_) recover();
    if (state_ == State::header) finish_header_without_message(/*at_end=*/true);
    if (state_ == State::content) finish_message();
  }
}

std::optional<Role> Parser::role() const {
  if (state_ == State::content) return current_.role;
  return state_ == State::header ? header_role_ : std::nullopt;
}

void Parser::take(Marker marker, std::string_view bytes) {
  if (marker == Marker::none && bytes.empty()) {  // a detokenizer that still waits for the rest of a character
    delta_begin_ = content().size();
    return;
  }
  switch (state_) {
    case State::expect_start:
      return take_expecting_start(marker, bytes);
    case State::header:
      return take_in_header(marker, bytes);
    case State::content:
      return take_in_content(marker, bytes);
  }
}

void Parser::take_expecting_start(Marker marker, std::string_view bytes) {
  if (marker == Marker::start) return begin_header(std::nullopt);
  malformed_ = true;
  strict_ = false;
  if (ends_message(marker)) return;
  begin_header(Role::assistant);  // its <|start|> is missing
  take_in_header(marker, bytes);
}

void Parser::take_in_header(Marker marker, std::string_view bytes) {
  if (marker == Marker::message) return finish_header();
  if (!strict_ && ends_message(marker)) {
    finish_header_without_message(/*at_end=*/false);
    return;
  }
  if (!strict_ && marker == Marker::start) {
    finish_header_without_message(/*at_end=*/false);
    return begin_header(std::nullopt);
  }
  if (marker == Marker::none && !header_.empty() && header_.back().marker == Marker::none) {
    header_.back().bytes += bytes;
  } else {
    header_.push_back({marker, std::string(bytes)});
  }
}

void Parser::take_in_content(Marker marker, std::string_view bytes) {
  delta_begin_ = current_.content.size();
  if (ends_message(marker)) return finish_message();
  if (marker == Marker::start && !strict_) {
    malformed_ = true;
    finish_message();
    return begin_header(std::nullopt);
  }
  if (marker == Marker::start || marker == Marker::channel || marker == Marker::message) malformed_ = true;
  append_content(marker == Marker::none ? bytes : marker_text(marker));
}

void Parser::begin_header(std::optional<Role> role) {
  state_ = State::header;
  header_role_ = role;
  header_.clear();
}

std::string Parser::header_text() const {
  std::string text;
  for (const Piece& piece : header_)
    text += piece.marker == Marker::none ? piece.bytes : marker_text(piece.marker);
  return text;
}

void Parser::finish_header() {
  const std::string text = header_text();
  std::optional<Header> header = parse_header(text, header_role_);
  if (!header || !is_well_formed(*header, text, header_role_)) malformed_ = true;
  if (strict_ && !header) {
    recover();
    return take(Marker::message, {});
  }
  const bool nonsense = !header || (!strict_ && (spells_marker(header->recipient) || header->channel == ""));
  static_cast<Header&>(current_) = nonsense ? repair_header(text, header_role_) : *header;
  current_.content.clear();
  undecoded_.clear();
  delta_begin_ = 0;
  state_ = State::content;
}

void Parser::finish_header_without_message(bool at_end) {
  malformed_ = true;
  const std::string text = header_text();
  Message message = message_without_marker(text, header_role_);
  const bool drop =
      at_end ? is_unfinished_header(message, header_role_) : message.content.empty() && !message.channel;
  if (!drop) messages_.push_back(std::move(message));
  state_ = State::expect_start;
  delta_begin_ = 0;
}

// Where openai's harmony raises: reads the header again, tolerantly.
void Parser::recover() {
  malformed_ = true;
  strict_ = false;
  const std::vector<Piece> header = std::exchange(header_, {});
  for (const Piece& piece : header) take(piece.marker, piece.bytes);
}

// At most one broken piece becomes U+FFFD per call and the rest waits, as the states of openai's harmony have it.
void Parser::append_content(std::string_view bytes) {
  undecoded_ += bytes;
  size_t at = 0;
  while (at < undecoded_.size()) {
    const CodePoint c = decode_utf8(undecoded_, at);
    if (!c.valid) {
      current_.content += undecoded_.substr(0, at);
      const bool incomplete = complete_utf8_prefix(undecoded_) <= at;
      if (!incomplete) append_utf8(current_.content, c.value);
      undecoded_.erase(0, incomplete ? at : at + c.size);
      return;
    }
    at += c.size;
  }
  current_.content += undecoded_;
  undecoded_.clear();
}

void Parser::finish_message() {
  current_.content += replace_invalid_utf8(undecoded_);
  undecoded_.clear();
  delta_begin_ = 0;
  messages_.push_back(std::move(current_));
  current_ = {};
  state_ = State::expect_start;
}

}  // namespace chorus::harmony
