// Typed look-ups in config.json.
#include "model/config.h"

#include "base/json.h"
#include "chorus/error.h"
#include "weights/test_folder.h"

namespace chorus {
namespace {

const Json json = parse_json(
    R"({"layers": 24, "eps": 1e-5, "tied": true, "name": "x", "nothing": null, "half": 2.5, "huge": 99999999999})",
    "config.json");

TEST(Config, FindsWhatIsThere) {
  const Config c(json);
  EXPECT_EQ(c.integer("layers", 1, 100), 24);
  EXPECT_EQ(c.integer_or("layers", 3, 1, 100), 24);
  EXPECT_EQ(c.integer_or("missing", 3, 1, 100), 3);
  EXPECT_EQ(c.integer_or("nothing", 3, 1, 100), 3);
  EXPECT_EQ(c.number_or("eps", 1), 1e-5);
  EXPECT_EQ(c.number_or("layers", 1), 24);
  EXPECT_EQ(c.number_or("missing", 7), 7);
  EXPECT_TRUE(c.flag_or("tied", false));
  EXPECT_TRUE(c.flag_or("missing", true));
  EXPECT_EQ(c.find("nothing"), nullptr);
  EXPECT_NE(c.find("name"), nullptr);
}

TEST(Config, SaysWhichKeyWhatWasExpectedAndWhatIsThere) {
  struct Case {
    void (*look_up)(const Config&);
    std::vector<const char*> words;
  };
  const Case cases[] = {
      {[](const Config& c) { c.integer("missing", 1, 9); }, {"missing", "an integer from 1 to 9", "nothing"}},
      {[](const Config& c) { c.integer("nothing", 1, 9); }, {"nothing", "lacks"}},
      {[](const Config& c) { c.integer("layers", 1, 9); }, {"layers", "1 to 9", "24"}},
      {[](const Config& c) { c.integer("huge", 1, 1 << 24); }, {"huge", "99999999999"}},
      {[](const Config& c) { c.integer("half", 1, 9); }, {"half", "2.5"}},
      {[](const Config& c) { c.integer("name", 1, 9); }, {"name", "\"x\""}},
      {[](const Config& c) { c.integer_or("name", 5, 1, 9); }, {"name", "\"x\""}},
      {[](const Config& c) { c.number_or("tied", 5); }, {"tied", "a number", "true"}},
      {[](const Config& c) { c.flag_or("layers", false); }, {"layers", "true or false", "24"}},
  };
  for (const Case& c : cases) {
    const std::string text = error_of<Error>([&] { c.look_up(Config(json)); });
    for (const char* word : c.words) EXPECT_NE(text.find(word), std::string::npos) << word << " in " << text;
  }
}

}  // namespace
}  // namespace chorus
