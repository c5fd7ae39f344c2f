#pragma once

#include <filesystem>
#include <string_view>

namespace chorus {

/// The folder that a user's word means: a path ("~/x", absolute, relative), or "org/name" in the folders of LM
/// Studio
/// (~/.cache/lm-studio/models, ~/.lmstudio/models) or in the Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub,
/// ~/.cache/huggingface/hub) on disk. Nothing is downloaded. Throws Fault::usage listing where it looked.
std::filesystem::path find_model(std::string_view name);

}  // namespace chorus
