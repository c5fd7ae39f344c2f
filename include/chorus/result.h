#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chorus/json.h"
#include "chorus/tokenizer.h"

namespace chorus {

enum class FinishReason { stop, length, budget, repetition, cancelled, error };
std::string_view name_of(FinishReason reason);

/// What became of one request.
struct Result {
  std::string id = {};
  std::optional<std::string> message = {};    ///< what is meant for the user: channel final
  std::optional<std::string> reasoning = {};  ///< channel analysis
  std::vector<std::pair<std::string, std::string>> channels = {};  ///< others, by name
  Json tool_calls = Json::array();
  std::string text = {};                      ///< all that was generated, special tokens included, eos excluded
  TokenIds token_ids = {};                    ///< the same as ids, eos excluded
  std::vector<float> logprobs = {};           ///< of token_ids, if asked for
  FinishReason finish_reason = FinishReason::stop;
  std::string matched_stop = {};              ///< the stop string that ended it
  bool malformed = false;                ///< the text is not well-formed for its format
  std::optional<std::string> error = {};
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;             ///< of the prompt, found in the cache
  int64_t generated_tokens = 0;          ///< eos included
  int64_t reasoning_tokens = 0;
  uint64_t seed = 0;
  double queued_s = 0, prefill_s = 0, decode_s = 0;
};

/// A result as one line of the output file (docs/formats.md).
Json to_json(const Result& result);

/// A row that failed before it could run.
Result failed(std::string id, const std::string& error);

/// Counts and times of a batch, twice: as mlx-lm counts (to compare), and as they are.
struct BatchStats {
  // mlx-lm's: each prompt less its last token, eos included, times that overlap nothing; GB = 1e9 bytes.
  int64_t prompt_tokens = 0;
  double prompt_tps = 0, prompt_time = 0;
  int64_t generation_tokens = 0;
  double generation_tps = 0, generation_time = 0;
  double peak_memory = 0;

  int64_t rows = 0;
  int64_t all_prompt_tokens = 0;      ///< every prompt whole
  int64_t cached_prompt_tokens = 0;   ///< of them, taken from shared prefixes
  int64_t generated_tokens = 0;       ///< eos excluded
  double wall_time = 0;
  double token_time_p50 = 0, token_time_p99 = 0;  ///< seconds between two tokens of a row
  int64_t steps = 0, preemptions = 0;
};

/// "[batch_generate] Prompt: N tokens, X tokens-per-sec" and so on, as mlx-lm prints them, then the true ones.
std::string summary(const BatchStats& stats);
std::ostream& operator<<(std::ostream& out, const BatchStats& stats);

}  // namespace chorus
