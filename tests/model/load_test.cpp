// A model folder with one thing changed in its config.json: what loads, and what the error says.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "base/file.h"
#include "base/json.h"
#include "chorus/error.h"
#include "model/model.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

const std::filesystem::path shipped = CHORUS_SOURCE_DIR "/tests/golden/data/models/tiny-gpt-oss-mxfp4-q8";

/// The shipped model with these keys changed (JSON merge patch: null removes one).
class ChangedModel {
 public:
  explicit ChangedModel(const std::string& patch) {
    Json config = read_json(shipped / "config.json");
    config.merge_patch(parse_json(patch, "patch"));
    folder_.write("config.json", config.dump());
    std::filesystem::create_symlink(shipped / "model.safetensors", folder_.path() / "model.safetensors");
  }
  /// Asks `see` about the loaded network.
  template <typename F>
  void load(F&& see) const {
    cpu::CpuBackend backend(cpu::Precision::exact, 1);
    Weights weights = Weights::open(folder_.path());
    see(*load_model(weights, backend));
  }
  void load() const {
    load([](const LanguageModel&) {});
  }
  std::string folder() const { return folder_.path().string(); }

 private:
  TestFolder folder_;
};

TEST(LoadModel, ReadsTheShapesOfTheCache) {
  ChangedModel("{}").load([](const LanguageModel& model) {
    EXPECT_EQ(model.vocabulary(), 512);
    EXPECT_EQ(model.context(), 131072);
    EXPECT_EQ(model.query_heads_per_kv_head(), 4);
    const KvShape& kv = model.kv_shape();
    ASSERT_EQ(kv.pools.size(), 2u);
    EXPECT_GT(kv.pools[0].window, 0) << "the first layer slides";
    EXPECT_EQ(kv.pools[1].window, 0);
    EXPECT_EQ(kv.pool_of_layer, (std::vector<int>{0, 1, 0, 1}));
    EXPECT_EQ(kv.kv_heads, 2);
    EXPECT_EQ(kv.head_dim, 64);
  });
  ChangedModel(R"({"layer_types": null})").load([](const LanguageModel& model) {
    EXPECT_EQ(model.kv_shape().pool_of_layer, (std::vector<int>{0, 1, 0, 1})) << "what nothing said means";
  });
  ChangedModel(R"({"layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]})")
      .load([](const LanguageModel& model) {
        ASSERT_EQ(model.kv_shape().pools.size(), 1u);
        EXPECT_EQ(model.kv_shape().pools[0].layers, 4);
      });
  ChangedModel(R"({"num_experts_per_tok": null, "max_position_embeddings": null})").load();  // the other spelling
}

TEST(LoadModel, ABadConfigIsOneClearError) {
  struct Case {
    const char* why;
    const char* patch;
    std::vector<const char*> words;
  };
  const Case cases[] = {
      {"no model_type", R"({"model_type": null})", {"model_type"}},
      {"model_type is no text", R"({"model_type": 3})", {"model_type"}},
      {"unknown model_type", R"({"model_type": "gpt2"})", {"gpt2", "known", "gpt_oss"}},
      {"a missing key", R"({"hidden_size": null})", {"hidden_size", "lacks"}},
      {"a text for a number", R"({"num_hidden_layers": "4"})", {"num_hidden_layers", "\"4\""}},
      {"a fraction", R"({"vocab_size": 512.5})", {"vocab_size", "512.5"}},
      {"negative", R"({"intermediate_size": -96})", {"intermediate_size", "-96"}},
      {"far too large", R"({"num_hidden_layers": 1000000})", {"num_hidden_layers"}},
      {"no experts chosen", R"({"num_experts_per_tok": null, "experts_per_token": null})", {"experts_per_token"}},
      {"more chosen than there are", R"({"num_experts_per_tok": 9})", {"more experts per token", "9", "8"}},
      {"heads not in groups", R"({"num_key_value_heads": 3})", {"num_attention_heads", "num_key_value_heads"}},
      {"one layer type too few", R"({"layer_types": ["full_attention"]})", {"layer_types", "4"}},
      {"an unknown layer type",
       R"({"layer_types": ["full_attention", "linear", "full_attention", "full_attention"]})",
       {"layer_types", "linear"}},
      {"a layer type that is no text", R"({"layer_types": [1, 2, 3, 4]})", {"layer_types"}},
      {"window missing", R"({"sliding_window": null})", {"sliding_window"}},
      {"rope of an unknown kind", R"({"rope_scaling": {"rope_type": "su"}})", {"rope_type", "su"}},
      {"more layers than tensors", R"({"num_hidden_layers": 5, "layer_types": null})", {"model.layers.4"}},
      {"another vocabulary", R"({"vocab_size": 500})", {"embed_tokens", "lm_head"}},
      {"quantised, said not to be",
       R"({"quantization": {"model.layers.1.mlp.router": false}})",
       {"model.layers.1.mlp.router"}},
      {"fewer bits than stored", R"({"quantization": {"lm_head": {"bits": 4, "group_size": 64}}})", {"lm_head"}},
      {"another mode than stored",
       R"({"quantization": {"mode": "affine", "bits": 4, "group_size": 64}})",
       {"experts.gate_proj"}},
      {"a mode that does not exist", R"({"quantization": {"mode": "mxfp2"}})", {"mxfp2"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const ChangedModel model(c.patch);
    try {
      model.load();
      ADD_FAILURE() << "loaded";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::model);
      for (const char* word : c.words) EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find(model.folder()), std::string::npos)
          << "the folder is not named: " << e.what();
    }
  }
}

TEST(Registry, KnowsItsFamilies) {
  const std::vector<std::string> known = known_model_types();
  EXPECT_NE(std::find(known.begin(), known.end(), "gpt_oss"), known.end());
}

}  // namespace
}  // namespace chorus
