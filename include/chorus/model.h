#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/tokenizer.h"

namespace chorus {

struct LoadOptions {
  std::string device = "auto";      ///< auto, cpu, cuda or cuda:INDEX
  std::string precision = "fast";   ///< fast or exact (CPU)
  int threads = 0;                  ///< 0: all that this process may use
  uint64_t memory_bytes = 0;        ///< budget for weights, kv cache and workspace; 0: what is free, less a margin
};

/// Logits of one sequence.
struct Logits {
  int64_t tokens = 0, vocabulary = 0;
  std::vector<float> values = {};  ///< [tokens, vocabulary]

  std::span<const float> row(int64_t token) const {
    return {values.data() + token * vocabulary, size_t(vocabulary)};
  }
};

/// The keys and values of one sequence, for use with Model::operator(). Movable.
class PromptCache {
 public:
  struct State;
  explicit PromptCache(std::unique_ptr<State> state);
  ~PromptCache();
  PromptCache(PromptCache&&) noexcept;
  PromptCache& operator=(PromptCache&&) noexcept;

  int64_t positions() const;  ///< tokens in the cache
  int64_t capacity() const;   ///< tokens that it can hold
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// A loaded network. Cheap to copy: copies share it. Calls from several threads take turns.
class Model {
 public:
  struct State;
  explicit Model(std::shared_ptr<State> state) : state_(std::move(state)) {}

  /// Logits of every position, with a throw-away cache. Throws Fault::input for ids outside the vocabulary and for
  /// more tokens than the context.
  Logits operator()(std::span<const int32_t> ids) const;
  /// The same for what follows the tokens of the cache.
  Logits operator()(std::span<const int32_t> ids, PromptCache& cache) const;

  int64_t vocabulary() const;
  int64_t context() const;          ///< positions that the model was made for
  std::string device() const;       ///< "cpu avx512 fast, 2 threads"
  uint64_t weight_bytes() const;    ///< as placed on the device
  const std::vector<int32_t>& eos_token_ids() const;
  State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

/// An empty cache for up to `capacity` tokens (0: the model's context, at most 4096).
PromptCache make_prompt_cache(const Model& model, int64_t capacity = 0);

/// What one decode step of so many rows must read and compute: the numerator of a share of the machine's limit.
struct StepCost {
  double bytes = 0;  ///< weights (of the experts hit, if routing spreads evenly) and keys and values
  double macs = 0;   ///< multiply-adds
};
/// `context`: positions of each row.
StepCost step_cost(const Model& model, int64_t rows, int64_t context);

/// Bytes per second that the memory of the model's device gives at most, measured now: read, and copied (read and
/// written). Zeros where that is the host's memory.
struct DeviceBandwidth {
  double read = 0, copy = 0;
};
DeviceBandwidth measure_bandwidth(const Model& model);
/// Bytes of that memory that are taken at present, by anything; 0 where it is the host's.
uint64_t used_device_bytes(const Model& model);

/// Where the time goes, one entry per kind and size of op.
struct OpCost {
  std::string name = {};  ///< "mat_mul 2880 -> 5120"
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  ///< weights, keys and values read
  double macs = 0;   ///< multiply-adds
};
/// Times the model's ops from now on, at a small cost per op.
void start_profile(const Model& model);
/// What was timed since start_profile(), which it ends.
std::vector<OpCost> end_profile(const Model& model);
/// Multiply-adds per second that the model's device reaches when nothing but arithmetic limits it.
double measure_mac_rate(const Model& model);

struct Loaded {
  Model model;
  Tokenizer tokenizer;
};

/// Loads a model folder: a path, or "org/name" in the folders of LM Studio or the Hugging Face cache. The folder is
/// checked as a whole before its weights are used.
Loaded load(std::string_view model, const LoadOptions& options = {});
/// The network alone: needs no tokenizer's files.
Model load_model(std::string_view model, const LoadOptions& options = {});

}  // namespace chorus
