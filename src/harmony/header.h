#pragma once

#include <optional>
#include <string_view>

#include "harmony/message.h"

namespace chorus::harmony {

/// The header between <|start|> and <|message|>, markers as text:
///
///     assistant<|channel|>commentary to=functions.f <|constrain|>json
///     functions.f to=assistant<|channel|>commentary
///
/// `role` is the one given with the prompt; then the text usually lacks it. Reads what openai's harmony reads,
/// words without to= included; nothing where that one raises.
std::optional<Header> parse_header(std::string_view text, std::optional<Role> role);

/// Whether the header is written as harmony writes it: every part in its place, single spaces,
/// and a channel where an assistant or a tool speaks.
bool is_well_formed(const Header& header, std::string_view text, std::optional<Role> role);

/// The best reading of a header that parse_header cannot read or reads nonsense from. No word is lost.
Header repair_header(std::string_view text, std::optional<Role> role);

/// A message whose <|message|> never came: the channel, if any, and everything else as content.
Message message_without_marker(std::string_view text, std::optional<Role> role);

/// Whether the text could be the beginning of a header, so that at the end of the input it is not content.
bool is_unfinished_header(const Message& without_marker, std::optional<Role> role);

}  // namespace chorus::harmony
