#include "harmony/message.h"

namespace chorus::harmony {
namespace {

constexpr Role roles[] = {Role::system, Role::developer, Role::user, Role::assistant, Role::tool};

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::system:
      return "system";
    case Role::developer:
      return "developer";
    case Role::user:
      return "user";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
  }
  return {};
}

std::optional<Role> role_named(std::string_view name) {
  for (const Role role : roles)
    if (to_string(role) == name) return role;
  return std::nullopt;
}

bool is_known_channel(std::string_view channel) {
  return channel == "analysis" || channel == "commentary" || channel == "final";
}

}  // namespace chorus::harmony
