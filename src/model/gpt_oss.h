#pragma once

#include "model/model.h"

namespace chorus {

std::unique_ptr<LanguageModel> load_gpt_oss(Weights& weights, Backend& backend);

}  // namespace chorus
