#pragma once

#include "chat/chat_template.h"
#include "chorus/tokenizer.h"
#include "harmony/answer_format.h"
#include "tokenizer/tokenizer.h"

namespace chorus {

struct Tokenizer::State {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  chat::ChatTemplates templates;
  harmony::AnswerFormat answer_format;
};

}  // namespace chorus
