#include "weights/quantization.h"

#include "base/json.h"
#include "chorus/error.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

using Demand = QuantizationConfig::Demand;

TEST(QuantizationConfig, OverridesAndDefaults) {
  struct Case {
    const char* why;
    const char* config;
    const char* module;
    Demand demand;
    Quantization expected;
  };
  const char* mixed = R"({"quantization":{"group_size":32,"bits":4,"mode":"mxfp4","a.b":{"group_size":64,"bits":8},
                          "a.c":false,"a.d":true,"a.e":{"mode":"nvfp4"}}})";
  const char* openai = R"({"quantization_config":{"quant_method":"mxfp4",
                           "modules_to_not_convert":["model.layers.*.self_attn","lm_head"]}})";
  const Case cases[] = {
      {"nothing said", "{}", "a", Demand::dense, {}},
      {"null", R"({"quantization":null})", "a", Demand::dense, {}},
      {"top level", mixed, "a.a", Demand::either, {Coding::mxfp4, 4, 32}},
      {"override without mode is affine", mixed, "a.b", Demand::quantised, {Coding::affine, 8, 64}},
      {"false", mixed, "a.c", Demand::dense, {Coding::mxfp4, 4, 32}},
      {"true", mixed, "a.d", Demand::quantised, {Coding::mxfp4, 4, 32}},
      {"a mode's own sizes", mixed, "a.e", Demand::quantised, {Coding::nvfp4, 4, 16}},
      {"the other key",
       R"({"quantization_config":{"bits":3,"group_size":128}})",
       "x",
       Demand::either,
       {Coding::affine, 3, 128}},
      {"quantization wins",
       R"({"quantization_config":{"bits":3},"quantization":{"bits":5}})",
       "x",
       Demand::either,
       {Coding::affine, 5, 64}},
      {"OpenAI's experts", openai, "model.layers.3.mlp.experts.gate_proj", Demand::either, {Coding::mxfp4, 4, 32}},
      {"OpenAI's exceptions", openai, "model.layers.3.self_attn.q_proj", Demand::dense, {}},
      {"exception by its own name", openai, "lm_head", Demand::dense, {}},
      {"a name that only begins so", openai, "lm_head2", Demand::either, {Coding::mxfp4, 4, 32}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const auto module = QuantizationConfig(parse_json(c.config, "config.json")).of(c.module);
    EXPECT_EQ(module.demand, c.demand);
    if (c.demand != Demand::dense) {
      EXPECT_EQ(module.quantization, c.expected) << text_of(module.quantization);
    }
  }
}

TEST(QuantizationConfig, WhatDoesNotExistIsRefusedByName) {
  struct Case {
    const char* config;
    const char* expected;
  };
  for (const Case& c :
       {Case{R"({"quantization":4})", "not an object"},
        {R"({"quantization":{"bits":"4"}})", "bits: \"4\""},
        {R"({"quantization":{"bits":-1}})", "bits: -1"},
        {R"({"quantization":{"bits":99999999999}})", "bits: 99999999999"},
        {R"({"quantization":{"bits":7}})", "actual: affine, 7 bits"},
        {R"({"quantization":{"group_size":48}})", "groups of 48"},
        {R"({"quantization":{"mode":"mxfp4","group_size":64}})", "expected: mxfp4, 4 bits, groups of 32"},
        {R"({"quantization":{"mode":"int4"}})", "mode: int4"},
        {R"({"quantization":{"mode":4}})", "mode: not a string"},
        {R"({"quantization":{"lm_head":{"bits":9}}})", "module: lm_head"},
        {R"({"quantization_config":{"quant_method":"gptq","bits":4}})", "quant_method: gptq"},
        {R"({"quantization_config":{"quant_method":["mxfp4"]}})", "quant_method: not a string"}}) {
    SCOPED_TRACE(c.config);
    const std::string text = error_of<Error>([&] { QuantizationConfig(parse_json(c.config, "config.json")); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace chorus
