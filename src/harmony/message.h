#pragma once

#include <optional>
#include <string_view>

#include "chorus/harmony.h"

namespace chorus::harmony {

std::string_view to_string(Role role);
std::optional<Role> role_named(std::string_view name);

/// Whether it is one of harmony's own: analysis, commentary, final.
bool is_known_channel(std::string_view channel);

}  // namespace chorus::harmony
