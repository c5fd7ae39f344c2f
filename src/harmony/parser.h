#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harmony/markers.h"
#include "harmony/message.h"

namespace chorus::harmony {

struct ParserOptions {
  /// Who speaks first: the prompt of a completion ends in <|start|>assistant. Nothing: the text begins at
  /// <|start|>.
  std::optional<Role> start_role = Role::assistant;
  /// true: reads every text as openai's harmony does by default, up to where that one raises. false: an end marker
  /// ends a header that lacks <|message|>, and <|start|> begins a message also where the end of the last is
  /// missing.
  bool strict = false;
};

/// Harmony tokens or text in, messages out, one piece at a time. Any sequence parses and nothing throws; what is
/// not well-formed harmony sets malformed(), and from there on the parser makes the best of it.
class Parser {
 public:
  enum class State { expect_start, header, content };

  explicit Parser(const HarmonyTokens& tokens = {}, const ParserOptions& options = {});

  /// One token and its text: its own bytes, which may be a piece of a character, or what a streaming detokenizer
  /// gave out after it. Markers are known by their id alone; text that arrives late, together with a marker, goes
  /// before it.
  void feed(int32_t token, std::string_view piece);
  /// The same for callers who have no ids.
  void feed_marker(Marker marker);
  void feed_text(std::string_view bytes);
  /// The end of the input: an open message is finished as it stands.
  void finish();

  State state() const { return state_; }
  const std::vector<Message>& messages() const { return messages_; }  ///< the finished ones
  bool malformed() const { return malformed_; }
  /// Tokens in the contents of analysis messages.
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

  /// Of the message in progress.
  std::optional<Role> role() const;
  /// Its header; null outside of a content.
  const Header* header() const { return state_ == State::content ? &current_ : nullptr; }
  /// Its text so far; characters that are not complete yet are left out.
  std::string_view content() const { return state_ == State::content ? std::string_view(current_.content) : ""; }
  /// What the last feed added to content().
  std::string_view delta() const { return content().substr(delta_begin_); }

 private:
  struct Piece {
    Marker marker;
    std::string bytes;
  };

  void take(Marker marker, std::string_view bytes);
  void take_expecting_start(Marker marker, std::string_view bytes);
  void take_in_header(Marker marker, std::string_view bytes);
  void take_in_content(Marker marker, std::string_view bytes);
  void begin_header(std::optional<Role> role);
  void finish_header();
  void finish_header_without_message(bool at_end);
  void finish_message();
  void recover();
  std::string header_text() const;
  void append_content(std::string_view bytes);

  HarmonyTokens tokens_;
  bool strict_;
  bool malformed_ = false;
  int64_t reasoning_tokens_ = 0;

  State state_ = State::expect_start;
  std::optional<Role> header_role_;  // known before the header
  std::vector<Piece> header_;        // what came since <|start|>
  Message current_;
  std::string undecoded_;  // bytes behind current_.content that are not yet a character
  size_t delta_begin_ = 0;
  std::vector<Message> messages_;
};

}  // namespace chorus::harmony
