// Any bytes as a tokenizer.json: a tokenizer that works, or one chorus::Error.
#include <cstdio>
#include <cstdlib>

#include "base/utf8.h"
#include "chorus/error.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

using namespace chorus;

static void use(const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer, const std::string& text) {
  for (const bool special : {false, true}) {
    const tokenizer::TokenIds ids =
        tokenizer->encode(text, {.parse_special = special, .add_special_tokens = special});
    const std::string decoded = tokenizer->decode(ids, special);
    tokenizer::Detokenizer detokenizer(tokenizer, special);
    std::string streamed;
    for (const int32_t id : ids) streamed += detokenizer.add(id);
    streamed += detokenizer.finish();
    if (streamed != decoded || !is_utf8(decoded)) {
      std::fprintf(stderr, "streamed text differs from decoded text, or is not UTF-8\n");
      std::abort();
    }
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  try {
    tokenizer = tokenizer::Tokenizer::from_json(json, "fuzz");
  } catch (const Error& e) {
    if (e.fault() != Fault::model) std::abort();
    return 0;
  }
  for (const char* text :
       {"", "Hello wörld's 123 <s> 日本語 \xf0\x9f\x98\x80\n\n  ab ab", "\xff\xfe a\xcc\x81 \xe2\x96\x81"}) {
    try {
      use(tokenizer, text);
    } catch (const Error&) {  // a regex that needs too much work, a character without a token
    }
  }
  return 0;
}
