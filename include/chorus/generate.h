#pragma once

#include <functional>
#include <string>
#include <vector>

#include "chorus/engine.h"

namespace chorus {

struct GenerateOptions {
  int64_t max_tokens = 256;
  SamplingParams sampling = {};
  std::vector<std::string> stop = {};
};

/// One piece of a generated text.
struct GenerationResponse {
  std::string_view text = {};
  int32_t token;
  bool reasoning;
};

/// The text that follows the prompt, special tokens included.
std::string generate(const Model& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                     const GenerateOptions& options = {});
std::string generate(const Model& model, const Tokenizer& tokenizer, std::string_view prompt,
                     const GenerateOptions& options = {});
/// The same, piece by piece; the callback returns false to stop. Returns the whole result.
Result stream_generate(const Model& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                       const GenerateOptions& options, const std::function<bool(const GenerationResponse&)>& on_piece);

struct BatchOptions {
  int64_t max_tokens = 128;
  std::vector<int64_t> max_tokens_per_prompt = {};  ///< empty, or one per prompt
  SamplingParams sampling = {};
  std::vector<std::string> stop = {};
  bool verbose = false;  ///< hand progress lines and the stats to `print`
  std::function<void(std::string_view line)> print = {};  ///< empty: to standard error, when verbose
  EngineOptions engine = {};
};

struct BatchResult {
  std::vector<std::string> texts = {};  ///< in the order of the prompts, special tokens included
  std::vector<Result> results = {};     ///< the same, taken apart
  BatchStats stats;
};

/// Every prompt answered. A row that fails (a prompt longer than the context, ...) says so in its result; the others
/// go on. Throws Fault::usage for option lists of another length than the prompts.
BatchResult batch_generate(const Model& model, const Tokenizer& tokenizer, std::span<const TokenIds> prompts,
                           const BatchOptions& options = {});

}  // namespace chorus
