#include "tokenizer/parts.h"
namespace chorus::tokenizer {
void load_sentencepiece(const std::string&, Tokenizer::Parts&) { throw Error(Fault::model, "tokenizer.model"); }
}
