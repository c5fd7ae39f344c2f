#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/config_node.h"

namespace chorus::tokenizer {

/// The special tokens that go around the ids of a text.
struct PostProcessor {
  std::vector<int32_t> before, after;
};

PostProcessor load_post_processor(const ConfigNode& node);

}  // namespace chorus::tokenizer
