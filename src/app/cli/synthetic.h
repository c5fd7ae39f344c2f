#pragma once

#include "weights/synthesize.h"

namespace chorus::cli {

/// synthesize() with a percentage on standard error, if that is a terminal.
void synthesize_with_progress(const Json& config, const std::filesystem::path& folder, Synthesis how);

}  // namespace chorus::cli
