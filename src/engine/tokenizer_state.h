#pragma once

#include "chat/chat_template.h"
#include "chorus/tokenizer.h"
#include "harmony/markers.h"
#include "tokenizer/tokenizer.h"

namespace chorus {

struct Tokenizer::State {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  chat::ChatTemplates templates;
  std::optional<harmony::HarmonyTokens> harmony;  ///< where the vocabulary has its markers
};

}  // namespace chorus
