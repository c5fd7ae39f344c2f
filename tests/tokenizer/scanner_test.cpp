#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "tokenizer/pattern.h"

namespace chorus::tokenizer {
namespace {

// The regexes as model folders write them.
constexpr struct {
  const char* why;
  const char* regex;
} regexes[] = {
    {"gpt-oss, o200k",
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"Llama 3, cl100k",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"Qwen 2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"GPT-2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
};

const Json nothing = Json::object();
const ConfigNode where(nothing, "test");

// Characters of every class that the regexes tell apart, some of them many times.
std::string random_text(std::mt19937& random, const Pattern& unassigned) {
  static constexpr char32_t often[] = {'a',    'Z',   's',    't',    'r',   'e',     'l',     'L',
                                       '\'',   '\'',  ' ',    ' ',    '\n',  '\r',    '\t',    '/',
                                       '.',    '1',   0x17f,  0x1c5,  0x2b0, 0x301,   0x4e00,  0x660,
                                       0xbd,   0xa0,  0x3000, 0x2028, 0x85,  0x180e,  0x200b,  0x1f600,
                                       0x20ac, 0x903, 0x20dd, 0xfeff, 0xaa,  0x1d400, 0x1d41a, 0x10400};
  std::string text;
  for (size_t n = random() % 40; n > 0; --n) {
    char32_t c = often[random() % std::size(often)];
    if (random() % 4 == 0) {
      c = char32_t(random() % (random() % 4 ? 0x3000 : 0x20000));
      std::string one;
      std::vector<Match> found;
      if (c >= 0xd800 && c < 0xe000) continue;
      append_utf8(one, c);
      unassigned.find(one, found);
      if (!found.empty()) continue;  // PCRE2 and utf8proc are of different versions of Unicode
    }
    for (size_t times = random() % 8 ? 1 : random() % 6; times > 0; --times) append_utf8(text, c);
  }
  return text;
}

TEST(Scanner, EqualsPcre2OnRandomText) {
  const auto unassigned = pcre2_pattern(R"([\p{Cn}])", where);
  for (const auto& [why, regex] : regexes) {
    SCOPED_TRACE(why);
    const auto scanner = scanner_for(regex);
    ASSERT_NE(scanner, nullptr);
    const auto pcre2 = pcre2_pattern(regex, where);
    std::mt19937 random(7);
    for (int round = 0; round < 40000; ++round) {
      const std::string text = random_text(random, *unassigned);
      std::vector<Match> expected, actual;
      pcre2->find(text, expected);
      scanner->find(text, actual);
      ASSERT_EQ(actual.size(), expected.size()) << testing::PrintToString(text);
      for (size_t i = 0; i < actual.size(); ++i) {
        ASSERT_EQ(actual[i].begin, expected[i].begin) << testing::PrintToString(text);
        ASSERT_EQ(actual[i].end, expected[i].end) << testing::PrintToString(text);
      }
    }
  }
}

std::vector<std::string> found(const char* regex, std::string_view text) {
  std::vector<Match> matches;
  pcre2_pattern(regex, where)->find(text, matches);
  std::vector<std::string> pieces;
  for (const Match& match : matches) pieces.emplace_back(text.substr(match.begin, match.end - match.begin));
  return pieces;
}

TEST(Regex, MeansWhatOnigurumaMeans) {
  using Pieces = std::vector<std::string>;
  const struct {
    const char* why;
    const char* regex;
    const char* text;
    Pieces pieces;
  } cases[] = {
      {"\\s is White_Space: U+180E is not", R"(\s+)", "a\u180eb c", {" "}},
      {"\\w has marks and connectors", R"(\w+)", "e\u0301_x y", {"e\u0301_x", "y"}},
      {"\\w has Latin-1's fractions", R"(\w+)", "1½ ①", {"1½"}},
      {"\\h is a hexadecimal digit", R"(\h+)", "ag\tF", {"a", "F"}},
      {"intersection of classes", R"([\p{L}&&[^a-c]]+)", "abcde", {"de"}},
      {"$ is the end of a line", "a$", "a\na", {"a", "a"}},
      {"matches of nothing do not hang", "x*", "axb", {"", "x", "", ""}},
  };
  for (const auto& c : cases) EXPECT_EQ(found(c.regex, c.text), c.pieces) << c.why;
}

TEST(Regex, NoLimitStopsALongText) {
  EXPECT_EQ(found(R"((?:a|b)+)", std::string(3000000, 'a')).size(), 1u);
  EXPECT_EQ(found(R"((?:(a)|b)*c|.)", std::string(2000, 'a')).size(), 2000u);
}

}  // namespace
}  // namespace chorus::tokenizer
