#include "weights/weights.h"

#include <cstring>
#include <fstream>
#include <set>

#include "chorus/error.h"
#include "goldens.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

namespace fs = std::filesystem;

// Asks for all that gpt_oss.cpp would ask for.
void look_up_gpt_oss(Weights& w) {
  const Json& c = w.config();
  const int64_t hidden = c["hidden_size"], heads = c["num_attention_heads"], kv_heads = c["num_key_value_heads"];
  const int64_t head_dim = c["head_dim"], experts = c["num_local_experts"], inner = c["intermediate_size"];
  const int64_t vocabulary = c["vocab_size"], layers = c["num_hidden_layers"];
  using enum Weights::Bias;
  EXPECT_FALSE(w.linear("model.embed_tokens", hidden, vocabulary, none).weight.empty());
  EXPECT_FALSE(w.tensor("model.norm.weight", {hidden}).empty());
  EXPECT_FALSE(w.linear("lm_head", hidden, vocabulary, none).weight.empty());
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    EXPECT_FALSE(w.tensor(layer + "input_layernorm.weight", {hidden}).empty());
    EXPECT_FALSE(w.tensor(layer + "post_attention_layernorm.weight", {hidden}).empty());
    EXPECT_FALSE(w.tensor(layer + "self_attn.sinks", {heads}).empty());
    for (const auto& [name, inputs, outputs] : {std::tuple{"self_attn.q_proj", hidden, heads * head_dim},
                                                {"self_attn.k_proj", hidden, kv_heads * head_dim},
                                                {"self_attn.v_proj", hidden, kv_heads * head_dim},
                                                {"self_attn.o_proj", heads * head_dim, hidden},
                                                {"mlp.router", hidden, experts}}) {
      const Linear linear = w.linear(layer + name, inputs, outputs, required);
      EXPECT_EQ(linear.inputs(), inputs);
      EXPECT_EQ(linear.outputs(), outputs);
      EXPECT_EQ(linear.bias.elements(), outputs);
    }
    for (const auto& [name, inputs, outputs] :
         {std::tuple{"gate_proj", hidden, inner}, {"up_proj", hidden, inner}, {"down_proj", inner, hidden}}) {
      const ExpertLinear linear =
          w.expert_linear(layer + "mlp.experts." + name, experts, inputs, outputs, required);
      EXPECT_EQ(linear.experts(), experts);
      EXPECT_EQ(linear.weight.rows, outputs);
      EXPECT_EQ(linear.weight.columns, inputs);
      EXPECT_TRUE(linear.bias.shape() == (Shape{experts, outputs}));
    }
  }
}

// Other families: the sizes follow from what is stored, so what this checks is that all parts agree.
void look_up_by_name(Weights& w) {
  for (const Weights::Info& info : w.tensors()) {
    if (!info.name.ends_with(".weight")) continue;
    const std::string module = info.name.substr(0, info.name.size() - 7);
    const std::vector<int64_t>& sizes = info.stored->sizes;
    int64_t inputs = sizes.back();
    if (w.has(module + ".scales")) inputs = inputs * 32 / w.quantization().of(module).quantization.bits;
    if (sizes.size() == 1) {
      EXPECT_FALSE(w.tensor(info.name, {sizes[0]}).empty());
    } else if (sizes.size() == 2) {
      EXPECT_EQ(w.linear(module, inputs, sizes[0]).inputs(), inputs) << module;
    } else {
      EXPECT_EQ(w.expert_linear(module, sizes[0], inputs, sizes[1]).experts(), sizes[0]) << module;
    }
  }
}

TEST(Weights, EveryGoldenModelOpensAndResolves) {
  std::set<fs::path> models;
  for (const fs::path& root : test::golden_roots())
    for (const auto& entry : fs::directory_iterator(root / "models")) models.insert(entry.path().filename());
  for (const fs::path& model : models) {
    SCOPED_TRACE(model);
    Weights w = Weights::open(test::golden("models" / model));
    if (w.config()["model_type"] == "gpt_oss")
      look_up_gpt_oss(w);
    else
      look_up_by_name(w);
    EXPECT_NO_THROW(w.throw_problems());
    EXPECT_EQ(w.unused(), std::vector<std::string>());
  }
  EXPECT_EQ(models.size(), test::golden_roots().size() > 1 ? 17u : 1u) << "one of them ships";
}

TEST(Weights, CodingOfEveryModule) {
  const std::string model = "models/tiny-gpt-oss-top4-mxfp4-q8-sharded";
  if (test::golden(model).empty()) GTEST_SKIP() << test::no_golden(model);
  Weights w = Weights::open(test::golden(model));
  const Matrix head = w.linear("lm_head", 192, 512).weight;
  EXPECT_EQ(head.coding, Coding::affine) << "an override without mode is affine";
  EXPECT_EQ(head.bits, 8);
  EXPECT_EQ(head.group_size, 64);
  EXPECT_EQ(head.quant_biases.dtype(), DType::bf16);
  const Matrix gate = w.expert_linear("model.layers.3.mlp.experts.gate_proj", 8, 192, 128).weight;
  EXPECT_EQ(gate.coding, Coding::mxfp4);
  EXPECT_EQ(gate.group_size, 32);
  EXPECT_TRUE(gate.quant_biases.empty());
  EXPECT_EQ(gate.bytes(), size_t(8 * 128 * 192 / 2 + 8 * 128 * 192 / 32));
  w.drop(gate);
  w.throw_problems();
}

TEST(Weights, TensorsAreAlignedWhateverTheFileDoes) {
  const TestFolder folder;
  folder.write("config.json", "{}");
  for (const char* padding : {"", " ", "  ", "   "}) {
    std::string file = safetensors(
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[3],"data_offsets":[1,13]}})" +
            std::string(padding),
        13);
    const float values[] = {1, 2, 3};
    std::memcpy(file.data() + file.size() - sizeof values, values, sizeof values);
    folder.write("model.safetensors", file);
    Weights w = Weights::open(folder.path());
    const Tensor b = w.tensor("b", {3});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.raw()) % 4, 0u);
    EXPECT_EQ(b.values<float>()[2], 3.f);
    w.drop(b);
  }
}

// A folder of "dense" [4, 64] bf16, "quant" affine 4 bit group 32 [4, 64], "norm" [64] f16, "ids" I64 [2].
constexpr const char* small_config = R"({"quantization":{"group_size":32,"bits":4,"dense":false}})";
void write_small(const TestFolder& folder, std::string_view config = small_config) {
  folder.write("config.json", config);
  folder.write("model.safetensors",
               safetensors(R"({"dense.weight":{"dtype":"BF16","shape":[4,64],"data_offsets":[0,512]},)"
                           R"("quant.weight":{"dtype":"U32","shape":[4,8],"data_offsets":[512,640]},)"
                           R"("quant.scales":{"dtype":"F16","shape":[4,2],"data_offsets":[640,656]},)"
                           R"("quant.biases":{"dtype":"F16","shape":[4,2],"data_offsets":[656,672]},)"
                           R"("norm":{"dtype":"F16","shape":[64],"data_offsets":[672,800]},)"
                           R"("ids":{"dtype":"I64","shape":[2],"data_offsets":[800,816]}})",
                           816));
}

TEST(Weights, AWrongLookUpIsOneClearError) {
  struct Case {
    const char* why;
    const char* config;
    void (*ask)(Weights&);
    const char* expected;
  };
  const Case cases[] = {
      {"missing", small_config, [](Weights& w) { w.tensor("sinks", {64}); },
       "tensor is missing\n  tensor: sinks\n  expected: [64]\n  model folder: "},
      {"wrong shape", small_config, [](Weights& w) { w.tensor("norm", {8}); },
       "tensor has the wrong shape\n  tensor: norm\n  file: model.safetensors\n  expected: [8]\n  actual: [64]\n"},
      {"wrong rank", small_config,
       [](Weights& w) {
         w.tensor("norm", {64, 1});
       },
       "actual: [64]"},
      {"wrong dtype", small_config, [](Weights& w) { w.tensor("ids", {2}); },
       "tensor has the wrong dtype\n  tensor: ids\n  file: model.safetensors\n  expected: BF16, F16 or F32\n  "
       "actual: I64"},
      {"missing weight", small_config, [](Weights& w) { w.linear("k_proj", 64, 4); }, "tensor: k_proj.weight"},
      {"required bias", small_config, [](Weights& w) { w.linear("dense", 64, 4, Weights::Bias::required); },
       "tensor: dense.bias"},
      {"matrix of another size", small_config, [](Weights& w) { w.linear("quant", 128, 4, Weights::Bias::none); },
       "expected [4, 16] (affine, 4 bits, groups of 32)"},
      {"inputs in no groups", small_config, [](Weights& w) { w.linear("quant", 65, 4); },
       "no multiple of the group size"},
      {"bits differ", R"({"quantization":{"group_size":32,"bits":8}})",
       [](Weights& w) { w.linear("quant", 64, 4); },
       "tensor: quant.weight\n  file: model.safetensors\n  expected: [4, 16] (affine, 8 bits, groups of 32)\n  "
       "actual: [4, 8]"},
      {"groups differ", R"({"quantization":{"group_size":64,"bits":4}})",
       [](Weights& w) { w.linear("quant", 64, 4); },
       "2 tensors of the model are missing or wrong\n  quant.scales: tensor has the wrong shape; file "
       "model.safetensors; "
       "expected [4, 1] (affine, 4 bits, groups of 64); actual [4, 2]\n  quant.biases: "},
      {"affine tensors, fp4 config", R"({"quantization":{"mode":"mxfp4"}})",
       [](Weights& w) { w.linear("quant", 64, 4); }, "quant.biases: tensor does not belong to this quantisation"},
      {"no quantisation in config", "{}", [](Weights& w) { w.linear("quant", 64, 4); },
       "tensor is quantised, and config.json says that it is not"},
      {"override says dense", R"({"quantization":{"group_size":32,"bits":4,"quant":false}})",
       [](Weights& w) { w.linear("quant", 64, 4); }, "tensor is quantised, and config.json says that it is not"},
      {"override says quantised", R"({"quantization":{"group_size":32,"bits":4,"dense":{"bits":8}}})",
       [](Weights& w) { w.linear("dense", 64, 4); },
       "tensor is not quantised, and config.json says that it is\n  tensor: dense.weight"},
      {"override true", R"({"quantization":{"group_size":32,"bits":4,"dense":true}})",
       [](Weights& w) { w.linear("dense", 64, 4); }, "expected: affine, 4 bits, groups of 32"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const TestFolder folder;
    write_small(folder, c.config);
    Weights w = Weights::open(folder.path());
    c.ask(w);
    const std::string text = error_of<Error>([&] { w.throw_problems(); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << text;
    EXPECT_NE(text.find("model folder: " + folder.path().string()), std::string::npos) << text;
  }
}

TEST(Weights, RightLookUps) {
  const TestFolder folder;
  write_small(folder);
  Weights w = Weights::open(folder.path());
  EXPECT_EQ(w.unused().size(), 6u);
  EXPECT_EQ(w.total_bytes(), 816u);
  EXPECT_EQ(w.linear("dense", 64, 4).weight.coding, Coding::dense);
  EXPECT_EQ(w.linear("quant", 64, 4).weight.bits, 4);
  EXPECT_EQ(w.tensor("norm", {64}).dtype(), DType::f16);
  EXPECT_TRUE(w.optional_tensor("sinks", {64}).empty());
  EXPECT_EQ(w.unused(), std::vector<std::string>{"ids"});
  EXPECT_TRUE(w.generation_config().is_object());
  w.throw_problems();
}

TEST(Weights, AThousandProblemsAreTwentyLines) {
  const TestFolder folder;
  write_small(folder);
  Weights w = Weights::open(folder.path());
  for (int i = 0; i < 1000; ++i) w.tensor(std::string("t").append(std::to_string(i)), {1});
  const std::string text = error_of<Error>([&] { w.throw_problems(); });
  EXPECT_EQ(text.find("1000 tensors of the model are missing or wrong\n  t0: tensor is missing; expected [1]\n"),
            0u);
  EXPECT_NE(text.find("\n  t19: "), std::string::npos);
  EXPECT_EQ(text.find("\n  t20: "), std::string::npos);
  EXPECT_NE(text.find("\n  and more: 980\n"), std::string::npos);
}

std::string one_tensor(const char* name) {
  return safetensors(std::string("{\"") + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
}

TEST(Weights, FoldersThatAreNotWhole) {
  struct Case {
    const char* why;
    std::vector<std::pair<const char*, std::string>> files;
    const char* expected;  // "": opens
  };
  const std::string a = one_tensor("a"), b = one_tensor("b");
  const Case cases[] = {
      {"no config", {{"model.safetensors", a}}, "config.json"},
      {"config is a list", {{"config.json", "[]"}}, "not a JSON object"},
      {"config is torn", {{"config.json", "{"}}, "JSON ends too early"},
      {"generation config is torn",
       {{"config.json", "{}"}, {"generation_config.json", "{"}},
       "generation_config.json"},
      {"no weights", {{"config.json", "{}"}}, "no weights in the model folder"},
      {"another format", {{"config.json", "{}"}, {"x.gguf", ""}}, "x.gguf"},
      {"torn weights", {{"config.json", "{}"}, {"model.safetensors", a.substr(0, 20)}}, "model.safetensors"},
      {"two shards without index",
       {{"config.json", "{}"}, {"model-00001-of-00002.safetensors", a}, {"model-00002-of-00002.safetensors", b}},
       ""},
      {"a shard is missing",
       {{"config.json", "{}"}, {"model-00002-of-00003.safetensors", a}, {"model-00003-of-00003.safetensors", b}},
       "file: 1 of 3"},
      {"two billion shards are missing",
       {{"config.json", "{}"}, {"model-1-of-2000000000.safetensors", a}},
       "and more files"},
      {"a tensor in two shards",
       {{"config.json", "{}"}, {"model-00001-of-00002.safetensors", a}, {"model-00002-of-00002.safetensors", a}},
       "two files of the model hold the same tensor\n  tensor: a"},
      {"index",
       {{"config.json", "{}"},
        {"x.safetensors", a},
        {"y.safetensors", b},
        {"model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})"}},
       ""},
      {"index names a missing shard",
       {{"config.json", "{}"},
        {"x.safetensors", a},
        {"model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})"}},
       "file: y.safetensors"},
      {"index names an absent tensor",
       {{"config.json", "{}"},
        {"x.safetensors", a},
        {"model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors","b":"x.safetensors"}})"}},
       "tensor: b in x.safetensors"},
      {"index has the wrong file",
       {{"config.json", "{}"},
        {"x.safetensors", a},
        {"y.safetensors", b},
        {"model.safetensors.index.json", R"({"weight_map":{"a":"y.safetensors","b":"x.safetensors"}})"}},
       "tensor: a in y.safetensors"},
      {"index climbs out",
       {{"config.json", "{}"}, {"model.safetensors.index.json", R"({"weight_map":{"a":"../x.safetensors"}})"}},
       "no plain file name"},
      {"index without map", {{"config.json", "{}"}, {"model.safetensors.index.json", "{}"}}, "no weight_map"},
      {"index of nothing",
       {{"config.json", "{}"}, {"model.safetensors.index.json", R"({"weight_map":{}})"}},
       "names no file"},
      {"index is not JSON", {{"config.json", "{}"}, {"model.safetensors.index.json", "x"}}, "not valid JSON"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const TestFolder folder;
    for (const auto& [name, content] : c.files) folder.write(name, content);
    if (*c.expected == '\0') {
      EXPECT_EQ(Weights::open(folder.path()).unused(), (std::vector<std::string>{"a", "b"}));
      continue;
    }
    const std::string text = error_of<Error>([&] { Weights::open(folder.path()); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << text;
    EXPECT_NE(text.find(folder.path().string()), std::string::npos) << text;
  }
  EXPECT_THROW(Weights::open("/no/such/folder"), Error);
}

TEST(Weights, AnIndexOfManyTensorsTakesNoTimeToSpeakOf) {
  const TestFolder folder;
  folder.write("config.json", "{}");
  folder.write("x.safetensors", one_tensor("a"));
  std::string index = R"({"metadata":{"deep":[[[{}]]]},"weight_map":{"a":"x.safetensors")";
  for (int i = 0; i < 100'000; ++i)
    index.append(",\"model.layers.").append(std::to_string(i)).append(".weight\":\"x.safetensors\"");
  folder.write("model.safetensors.index.json", index + "}}");
  const std::string text = error_of<Error>([&] { Weights::open(folder.path()); });
  EXPECT_NE(text.find("and more: 99980"), std::string::npos) << text;
}

}  // namespace
}  // namespace chorus
