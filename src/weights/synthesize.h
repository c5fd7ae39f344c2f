#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "chorus/json.h"

namespace chorus {

/// config.json of a synthetic model: "gpt-oss-20b" (real sizes), "gpt-oss-20b-2layers", "gpt-oss-tiny", or a JSON
/// file with the sizes. Throws Fault::usage listing the names.
Json synthetic_config(std::string_view name_or_file);

struct Synthesis {
  uint64_t seed = 0;
  std::filesystem::path tokenizer_from = {};  ///< tokenizer and chat template are copied from here; empty: none
  uint64_t shard_bytes = 5'000'000'000;       ///< at most, per file
  int threads = 0;                            ///< 0: all
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = {};
};

/// Writes a gpt_oss model folder of random weights as mlx-lm would write it: MXFP4 experts, all other matrices
/// affine with 8 bits and groups of 64, vectors bf16; shards with an index. The bytes depend on config and seed
/// alone.
///
/// The statistics keep a forward pass sane: matrices map rows of root-mean-square 1 to about 1 (lm_head to 3: the
/// logits' deviation; router to 1.5), and attention and experts add so much to the residual that all layers
/// together take it from 1 to about 2, however many they are.
///
/// Throws Fault::usage if the folder already holds a model or the config is not a gpt_oss's, Fault::io.
void synthesize(const Json& config, const std::filesystem::path& folder, const Synthesis& how = {});

}  // namespace chorus
