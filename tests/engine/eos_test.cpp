// Which tokens end a row: eos_token_id of generation_config.json, else of config.json, one or a list.
#include <algorithm>

#include "base/json.h"
#include "chorus/error.h"
#include "chorus/model.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

constexpr const char* shipped = CHORUS_SOURCE_DIR "/tests/golden/data/models/tiny-gpt-oss-mxfp4-q8";

Model load_with(const char* config_eos, const char* generation_config) {
  const TestFolder folder;
  Json config = read_json(std::filesystem::path(shipped) / "config.json");
  config["eos_token_id"] = parse_json(config_eos, "eos");
  folder.write("config.json", config.dump());
  if (*generation_config != 0) folder.write("generation_config.json", generation_config);
  std::filesystem::create_symlink(std::filesystem::path(shipped) / "model.safetensors",
                                  folder.path() / "model.safetensors");
  return load_model(folder.path().string(), {.device = "cpu", .threads = 1});
}

TEST(Eos, OneOrAListAndTheGenerationConfigWins) {
  struct Case {
    const char* why;
    const char* config;
    const char* generation_config;
    std::vector<int32_t> expected;
  };
  const Case cases[] = {
      {"one", "2", "", {2}},
      {"a list", "[7, 2, 9]", "", {7, 2, 9}},
      {"none", "null", "", {}},
      {"generation_config wins", "2", R"({"eos_token_id": [3, 4]})", {3, 4}},
      {"and may be silent", "2", R"({"temperature": 1})", {2}},
      {"or null", "[2]", R"({"eos_token_id": null})", {2}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(load_with(c.config, c.generation_config).eos_token_ids(), c.expected);
  }
  for (const char* bad : {"\"2\"", "[2, -1]", "1.5", "99999999999"}) {
    const std::string text = error_of<Error>([&] { load_with(bad, ""); });
    EXPECT_NE(text.find("eos_token_id"), std::string::npos) << bad << "\n" << text;
  }
}

}  // namespace
}  // namespace chorus
