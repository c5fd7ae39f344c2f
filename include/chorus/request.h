#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chorus/json.h"
#include "chorus/sampling.h"
#include "chorus/tokenizer.h"

namespace chorus {

/// When a row ends, apart from the model's own end of turn.
struct StopRules {
  int64_t max_tokens = 131072;         ///< generated tokens; 0 computes the prompt and generates nothing
  std::vector<std::string> stop = {};  ///< ends the row where one appears in the decoded text; none of it is kept
  std::vector<int32_t> stop_token_ids = {}; ///< besides the model's eos ids
  bool ignore_eos = false;             ///< for benchmarks
};

/// One prompt and how to answer it.
struct Request {
  std::string id = {};
  TokenIds prompt = {};         ///< token ids; templates and text are applied before (Tokenizer)
  SamplingParams sampling = {};
  StopRules stop = {};
  int priority = 0;        ///< higher first
  /// The tools that the prompt offers, as the template was given them: they type what calls write without types.
  Json tools = nullptr;
  /// Draws depend on sampling.seed, this key and the position, and on nothing else. Equal keys, equal draws.
  uint64_t row_key = 0;
};

/// A row_key for rows that share a seed: from their id, so that it depends neither on order nor on neighbours.
uint64_t row_key_of(std::string_view id);

}  // namespace chorus
