#include "base/json.h"

#include <gtest/gtest.h>

#include "chorus/error.h"

namespace chorus {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_json(text, "here");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Json, KeepsTheOrderOfKeys) { EXPECT_EQ(to_json_line(parse_json(R"({"z":1,"a":"é"})", "")), R"({"z":1,"a":"é"})"); }

TEST(Json, ErrorsSayWhereAndWhat) {
  EXPECT_EQ(error_of(R"({"a": 1, oops})"), "not valid JSON\n  where: here\n  at byte: 9\n  near: {\"a\": 1, oops}");
  EXPECT_EQ(error_of(R"({"a": )"), "JSON ends too early\n  where: here\n  at byte: 6\n  near: {\"a\": ");
  EXPECT_NE(error_of("\"\xff\"").find("not valid JSON"), std::string::npos);
}

TEST(Json, RefusesNumbersThatNoDoubleHolds) {
  EXPECT_NE(error_of("[1e999]").find("number that is too large"), std::string::npos);
}

TEST(Json, RefusesHostileNesting) {
  EXPECT_NE(error_of(std::string(1000000, '[')).find("nested too deeply"), std::string::npos);
  EXPECT_EQ(error_of("\"" + std::string(2000, '[') + "\""), "no error") << "brackets in a string are text";
}

TEST(Json, PrintsBrokenUtf8AsReplacement) { EXPECT_EQ(to_json_line(Json("a\xff" "b")), "\"a\xef\xbf\xbd" "b\""); }

}  // namespace
}  // namespace chorus
