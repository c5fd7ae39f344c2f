#pragma once

#include "tensor/tensor.h"

namespace chorus {

/// How one row's next token is drawn, as kernels read it: SamplingParams (chorus/sampling.h), the row's random
/// number and its penalties already counted. sampler/sampler.h is what it means.
struct DrawRow {
  double uniform;             ///< in [0, 1)
  double top_p;               ///< 1: off
  float inverse_temperature;  ///< 0: the likeliest token, ties to the lower id
  float log_min_p;            ///< -infinity: off
  float repetition_penalty, presence_penalty, frequency_penalty;
  int32_t top_k;                       ///< 0: off
  int32_t logits;                      ///< row of Draw::logits
  int32_t changes_begin, changes_end;  ///< in Draw::changes
  int32_t wants_logprob;
};

/// A logit that is changed before the draw: the bias is added, then come the row's penalties if the token was
/// seen.
struct LogitChange {
  int32_t token_id;  ///< once per row
  int32_t count;     ///< times that it was seen in the penalty window
  float bias;
};

enum class DrawStatus : int32_t {
  drawn,
  not_finite,  ///< a NaN, or no finite maximum
  undecided,   ///< too many tokens are too nearly as likely as each other for the backend: the host draws
};

struct Drawn {
  int32_t token_id;
  float logprob;  ///< if asked for; of a row that is not_finite: the largest logit, or NaN
  DrawStatus status;
};

/// Draws the next token of S rows. A row's token depends on its own logits and parameters alone. Equal to
/// sampler::sample() unless the random number falls within 1e-5 of where one token's share ends and another's
/// begins.
struct Draw {
  Tensor logits;   ///< [L, V] f32, changed in place
  Tensor rows;     ///< [S, sizeof(DrawRow)] u8; no two with the same logits
  Tensor changes;  ///< [C, sizeof(LogitChange)] u8, may be longer than what the rows use
  Tensor out;      ///< [S, sizeof(Drawn)] u8, of Backend::allocate_on_host
};
void check(const Draw& op);

}  // namespace chorus
