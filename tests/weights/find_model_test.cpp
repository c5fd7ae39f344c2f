#include "weights/find_model.h"

#include <cstdlib>
#include <map>
#include <optional>

#include "chorus/error.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

/// Variables of the environment, put back at the end.
class Environment {
 public:
  void set(const std::string& name, const std::string& value) {
    remember(name);
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  void unset(const std::string& name) {
    remember(name);
    ::unsetenv(name.c_str());
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }

 private:
  void remember(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    before_.try_emplace(name, value == nullptr ? std::optional<std::string>() : value);
  }
  std::map<std::string, std::optional<std::string>> before_;
};

TEST(FindModel, LooksWhereTheFoldersAre) {
  const TestFolder home;
  Environment environment;
  environment.set("HOME", home.path().string());
  for (const char* name : {"HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"}) environment.unset(name);
  const std::string hub = ".cache/huggingface/hub/models--org--";
  home.write(".cache/lm-studio/models/org/studio/config.json", "{}");
  home.write(".lmstudio/models/org/newer/config.json", "{}");
  home.write(hub + "hub/refs/main", "abc123\n");
  home.write(hub + "hub/snapshots/abc123/config.json", "{}");
  home.write(hub + "hub/snapshots/old/config.json", "{}");
  home.write(hub + "pinned/snapshots/def/config.json", "{}");
  home.write(hub + "torn/snapshots/one/config.json", "{}");
  home.write(hub + "torn/snapshots/two/config.json", "{}");
  home.write(hub + "escape/refs/main", "../../..");
  home.write("mine/config.json", "{}");
  home.write("file", "");

  struct Case {
    const char* why;
    const char* name;
    std::string expected;  // below home
  };
  for (const Case& c : {Case{"a path with ~", "~/mine", "mine"},
                        {"LM Studio", "org/studio", ".cache/lm-studio/models/org/studio"},
                        {"LM Studio, new place", "org/newer", ".lmstudio/models/org/newer"},
                        {"Hugging Face, main", "org/hub", hub + "hub/snapshots/abc123"},
                        {"Hugging Face, the only snapshot", "org/pinned", hub + "pinned/snapshots/def"}}) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(find_model(c.name), home.path() / c.expected);
  }
  EXPECT_EQ(find_model((home.path() / "mine").string()), home.path() / "mine");

  struct Bad {
    const char* why;
    const char* name;
    const char* expected;
  };
  for (const Bad& c : {Bad{"empty", "", "no model given"},
                       {"a file", "~/file", "must be a folder"},
                       {"two snapshots, no ref", "org/torn", "model not found"},
                       {"a ref that climbs out", "org/escape", "model not found"},
                       {"a name that climbs out", "../..x/y", "model not found"},
                       {"nowhere", "org/none", "looked in: "}}) {
    SCOPED_TRACE(c.why);
    const std::string text = error_of<Error>([&] { find_model(c.name); });
    EXPECT_NE(text.find(c.expected), std::string::npos) << text;
  }
  const std::string text = error_of<Error>([&] { find_model("org/none"); });
  for (const char* place : {"looked in: org/none", ".cache/lm-studio/models/org/none", ".lmstudio/models/org/none",
                            "hub/models--org--none/snapshots"})
    EXPECT_NE(text.find(place), std::string::npos) << text;
}

TEST(FindModel, VariablesMoveTheHuggingFaceCache) {
  const TestFolder home;
  Environment environment;
  environment.set("HOME", "/no/such/home");
  environment.unset("HF_HUB_CACHE");
  environment.set("HF_HOME", home.path().string());
  home.write("hub/models--a--b/snapshots/x/config.json", "{}");
  home.write("other/models--a--b/snapshots/y/config.json", "{}");
  EXPECT_EQ(find_model("a/b"), home.path() / "hub/models--a--b/snapshots/x");
  environment.set("HF_HUB_CACHE", (home.path() / "other").string());
  EXPECT_EQ(find_model("a/b"), home.path() / "other/models--a--b/snapshots/y");
}

}  // namespace
}  // namespace chorus
