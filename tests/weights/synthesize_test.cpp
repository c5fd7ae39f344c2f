#include "weights/synthesize.h"

#include <cmath>
#include <vector>

#include "base/json.h"
#include "chorus/error.h"
#include "ops/dequantize.h"
#include "weights/safetensors_writer.h"
#include "weights/test_folder.h"
#include "weights/weights.h"

namespace chorus {
namespace {

namespace fs = std::filesystem;

TEST(SafetensorsWriter, WhatIsWrittenIsRead) {
  const TestFolder folder;
  const fs::path file = folder.path() / "a.safetensors";
  const PlannedTensor tensors[] = {{"x", DType::bf16, {2, 3}}, {"none", DType::u8, {0}}, {"y", DType::f32, {2}}};
  float y[] = {1.5f, -2};
  const std::string x = "abcdefghijkl";
  {
    SafetensorsWriter writer(file, tensors);
    writer.append(std::as_bytes(std::span(x)).first(5));
    writer.append(std::as_bytes(std::span(x)).subspan(5));
    writer.append(Tensor(DType::f32, {2}, y));
    EXPECT_FALSE(fs::exists(file)) << "before finish() there is only a partial file";
    EXPECT_THROW(writer.append(std::as_bytes(std::span(x)).first(1)), Error);
    writer.finish();
  }
  const SafetensorsFile read(file);
  EXPECT_EQ(read.metadata().at("format"), "mlx");
  EXPECT_EQ(read.find("x")->shape_text(), "[2, 3]");
  EXPECT_EQ(read.find("x")->begin % 64, 0u);
  EXPECT_EQ(char(read.bytes(*read.find("x"))[11]), 'l');
  EXPECT_EQ(load_float(DType::f32, read.bytes(*read.find("y")).data(), 1), -2);
}

TEST(SafetensorsWriter, AnUnfinishedFileLeavesNothing) {
  const TestFolder folder;
  const PlannedTensor tensors[] = {{"x", DType::bf16, {2, 3}}};
  {
    SafetensorsWriter writer(folder.path() / "a.safetensors", tensors);
    EXPECT_THROW(writer.finish(), Error);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, ErrorsNameTheFileAndTheReason) {
  const PlannedTensor tensors[] = {{"x", DType::u8, {1 << 20}}};
  EXPECT_NE(error_of<Error>([&] {
              SafetensorsWriter("/no/such/folder/a.safetensors", tensors);
            }).find("file: /no/such/folder/a.safetensors\n  reason: "),
            std::string::npos);
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "SKIPPED: no /dev/full on this system";
  const TestFolder folder;
  fs::create_symlink("/dev/full", folder.path() / "a.safetensors.partial");
  EXPECT_NE(
      error_of<Error>([&] { SafetensorsWriter(folder.path() / "a.safetensors", tensors); }).find("No space left"),
      std::string::npos);
}

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread_of(const Matrix& m) {
  double sum = 0, squares = 0;
  std::vector<float> row(size_t(m.columns));
  for (int64_t i = 0; i < m.matrices; ++i)
    for (int64_t r = 0; r < m.rows; ++r) {
      dequantize_row(m, i, r, row);
      for (const float v : row) {
        sum += v;
        squares += double(v) * v;
      }
    }
  const double n = double(m.matrices * m.rows * m.columns);
  return {sum / n, std::sqrt(squares / n - sum / n * sum / n)};
}

TEST(Synthesize, TheFolderIsAModelWithTheStatisticsPromised) {
  const TestFolder folder;
  const fs::path model = folder.path() / "model";
  const Json config = synthetic_config("gpt-oss-tiny");
  uint64_t last = 0;
  synthesize(config, model, {.shard_bytes = 500'000, .progress = [&](uint64_t done, uint64_t) { last = done; }});
  Weights w = Weights::open(model);
  EXPECT_EQ(last, w.total_bytes());
  EXPECT_TRUE(fs::exists(model / "model-00002-of-00003.safetensors"));
  for (const auto& entry : fs::directory_iterator(model)) EXPECT_LT(fs::file_size(entry), 520'000u);

  const auto near = [](const Spread& spread, double deviation) {
    EXPECT_NEAR(spread.deviation / deviation, 1, 0.04);
    EXPECT_NEAR(spread.mean / deviation, 0, 0.04);
  };
  const double in = std::sqrt(128.0);
  near(spread_of(w.linear("model.embed_tokens", 128, 512).weight), 1);
  near(spread_of(w.linear("lm_head", 128, 512).weight), 3 / in);
  const std::string layer = "model.layers.3.";
  near(spread_of(w.linear(layer + "self_attn.q_proj", 128, 256).weight), 1 / in);
  near(spread_of(w.linear(layer + "mlp.router", 128, 8).weight), 1.5 / in);
  near(spread_of(w.expert_linear(layer + "mlp.experts.gate_proj", 8, 128, 128).weight), 1 / in);
  near(spread_of(w.expert_linear(layer + "mlp.experts.down_proj", 8, 128, 128).weight),
       std::sqrt(1.5 / 4) / 0.47 / in);
  EXPECT_FALSE(w.tensor(layer + "self_attn.sinks", {4}).empty());
  w.throw_problems();
}

TEST(Synthesize, TheSeedFixesTheBytes) {
  const TestFolder folder;
  const Json config = synthetic_config("gpt-oss-tiny");
  const auto bytes = [&](const char* name, const Synthesis& how) {
    synthesize(config, folder.path() / name, how);
    return read_file(folder.path() / name / "model.safetensors");
  };
  const std::string one = bytes("a", {.seed = 5, .threads = 1});
  EXPECT_TRUE(one == bytes("b", {.seed = 5, .threads = 3}));
  EXPECT_FALSE(one == bytes("c", {.seed = 6}));
}

TEST(Synthesize, RefusesWhatItCannotMake) {
  struct Case {
    const char* why;
    const char* change;
    const char* expected;
  };
  for (const Case& c :
       {Case{"another family", R"({"model_type":"llama"})", "gpt_oss"},
        {"no groups of 64", R"({"hidden_size":96})", "field: hidden_size\n  actual: 96"},
        {"negative", R"({"vocab_size":-1})", "field: vocab_size"},
        {"giant", R"({"num_local_experts":99999999999})", "field: num_local_experts"},
        {"text", R"({"head_dim":"64"})", "actual: \"64\""},
        {"larger than the disk", R"({"hidden_size":131072,"intermediate_size":131072,"num_local_experts":4096})",
         "not enough room"}}) {
    SCOPED_TRACE(c.why);
    const TestFolder folder;
    Json config = synthetic_config("gpt-oss-tiny");
    config.update(parse_json(c.change, "change"));
    const std::string text = error_of<Error>([&] { synthesize(config, folder.path() / "m"); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << text;
  }
  const TestFolder folder;
  folder.write("config.json", "{}");
  EXPECT_NE(
      error_of<Error>([&] { synthesize(synthetic_config("gpt-oss-tiny"), folder.path()); }).find("already holds"),
      std::string::npos);
  EXPECT_NE(error_of<Error>([] { synthetic_config("gpt-oss-21b"); }).find("known: gpt-oss-20b, "),
            std::string::npos);
}

TEST(Synthesize, ConfigsAndTokenizerFiles) {
  EXPECT_EQ(synthetic_config("gpt-oss-20b")["layer_types"].size(), 24u);
  EXPECT_EQ(synthetic_config("gpt-oss-20b")["rope_scaling"]["truncate"], false);
  const TestFolder folder;
  folder.write("mine.json", synthetic_config("gpt-oss-tiny").dump());
  EXPECT_EQ(synthetic_config((folder.path() / "mine.json").string()), synthetic_config("gpt-oss-tiny"));
  folder.write("tok/tokenizer.json", "{\"x\":1}");
  synthesize(synthetic_config("gpt-oss-tiny"), folder.path() / "m", {.tokenizer_from = folder.path() / "tok"});
  EXPECT_EQ(read_file(folder.path() / "m/tokenizer.json"), "{\"x\":1}");
  EXPECT_THROW(
      synthesize(synthetic_config("gpt-oss-tiny"), folder.path() / "n", {.tokenizer_from = folder.path()}), Error);
}

}  // namespace
}  // namespace chorus
