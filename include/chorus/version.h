#pragma once

#include <string_view>

namespace chorus {

/// "0.1.0"
std::string_view version();

}  // namespace chorus
