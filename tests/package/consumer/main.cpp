#include <chorus/chorus.h>

#include <cstdio>

int main() {
  const chorus::GptOssResponse parsed =
      chorus::parse_gpt_oss_response("<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final<|message|>4");
  if (parsed.reasoning != "2+2" || parsed.message != "4") return 1;
  try {
    chorus::load("/no/such/model");
  } catch (const chorus::Error& e) {
    std::printf("as expected: %s\n", e.what());
    return e.fault() == chorus::Fault::usage ? 0 : 1;
  }
  return 1;
}
