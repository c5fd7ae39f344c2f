#pragma once

#include <string>

#include "chorus/harmony.h"

namespace chorus::harmony {

/// "namespace functions {" and so on: every tool as a TypeScript type, its description as a comment. A namespace
/// without tools is its description alone.
std::string typescript(const ToolNamespace& tools, Style style);

}  // namespace chorus::harmony
