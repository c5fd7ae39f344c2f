#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace chorus::harmony {

enum class Role { system, developer, user, assistant, tool };

std::string_view to_string(Role role);
std::optional<Role> role_named(std::string_view name);

/// Whether it is one of harmony's own: analysis, commentary, final.
bool is_known_channel(std::string_view channel);

/// What stands between <|start|> and <|message|>.
struct Header {
  Role role = Role::assistant;
  std::optional<std::string> name;          ///< of the tool, where the role is tool
  std::optional<std::string> recipient;     ///< "functions.get_weather", without to=
  std::optional<std::string> channel;       ///< analysis, commentary, final, ...
  std::optional<std::string> content_type;  ///< "<|constrain|>json", "code", as written

  bool operator==(const Header&) const = default;
};

struct Message : Header {
  std::string content;

  bool operator==(const Message&) const = default;
};

}  // namespace chorus::harmony
