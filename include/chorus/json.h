#pragma once

#include <nlohmann/json.hpp>

namespace chorus {

/// Messages, tools, template arguments and results are JSON; objects keep the order of their keys, because chat
/// templates print them in that order.
using Json = nlohmann::ordered_json;

}  // namespace chorus
