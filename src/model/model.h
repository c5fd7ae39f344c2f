#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/kv_cache.h"
#include "model/step.h"
#include "ops/ops.h"
#include "weights/weights.h"

namespace chorus {

/// A loaded network: a step in, logits out.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  /// Logits [L, V] f32 of the step's logit_tokens, in the workspace; keys and values of all its tokens go into `kv`.
  virtual Tensor forward(Ops& ops, const Step& step, const KvCache& kv) const = 0;

  virtual const KvShape& kv_shape() const = 0;
  virtual int64_t vocabulary() const = 0;
  virtual int64_t context() const = 0;  ///< positions that the model was made for
  virtual int64_t query_heads_per_kv_head() const = 0;
  /// Weight bytes that a step of so many tokens reads, if routing spreads evenly.
  virtual double step_weight_bytes(int64_t tokens) const = 0;
  /// Multiply-adds of one token in matrices, without and with the vocabulary.
  virtual double token_macs(bool logits) const = 0;
};

/// The network of a folder, its weights placed on the backend. `weights` must outlive it.
/// Throws Fault::model for a model_type that chorus does not know (naming those it does), and one error with all that
/// is wrong with the folder's tensors.
std::unique_ptr<LanguageModel> load_model(Weights& weights, Backend& backend);

/// The model_types that load_model knows.
std::vector<std::string> known_model_types();

}  // namespace chorus
