#pragma once

#include <string>

#include "chorus/json.h"

namespace chorus::harmony {

/// The value as Python's json.dumps(ensure_ascii=False) writes it: a space behind ',' and ':'.
std::string python_json(const Json& value);

}  // namespace chorus::harmony
