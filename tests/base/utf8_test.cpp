#include "base/utf8.h"

#include <gtest/gtest.h>

namespace chorus {
namespace {

struct Case {
  const char* why;
  std::string text, replaced;
  size_t complete;
};

// Replacement as in Python's bytes.decode("utf-8", "replace").
const Case cases[] = {
    {"empty", "", "", 0},
    {"whole characters", "aé中😀", "aé中😀", 10},
    {"two bytes of an emoji", "a\xf0\x9f", "a\xef\xbf\xbd", 1},
    {"three bytes of an emoji", "\xf0\x9f\x98", "\xef\xbf\xbd", 0},
    {"stray continuation", "\x80x", "\xef\xbf\xbdx", 2},
    {"overlong slash", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", 2},
    {"surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3},
    {"beyond U+10FFFF", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 4},
    {"broken in the middle", "\xe4\xb8" "a", "\xef\xbf\xbd" "a", 3},
};

TEST(Utf8, ReplacesMaximalBrokenPieces) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(replace_invalid_utf8(c.text), c.replaced);
    EXPECT_EQ(is_utf8(c.text), c.text == c.replaced);
    EXPECT_EQ(complete_utf8_prefix(c.text), c.complete);
  }
}

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t c = 0; c < 0x110000; c += (c < 0x3000 ? 1 : 97)) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    append_utf8(text, c);
    const CodePoint back = decode_utf8(text, 0);
    ASSERT_TRUE(back.valid && back.value == c && back.size == text.size()) << uint32_t(c);
  }
}

}  // namespace
}  // namespace chorus
