#include <gtest/gtest.h>

#include "chorus/harmony.h"
#include "goldens.h"

namespace chorus {
namespace {

Json as_json(const GptOssResponse& response) {
  Json json;
  json["reasoning"] = response.reasoning ? Json(*response.reasoning) : Json();
  json["message"] = response.message ? Json(*response.message) : Json();
  for (const auto& [channel, content] : response.channels) json[channel] = content;
  return json;
}

TEST(GptOssResponse, EqualsThePythonExpression) {
  const std::vector<Json> rows = test::json_lines_of(test::golden("harmony/parse_cases.jsonl"));
  ASSERT_EQ(rows.size(), 123u);
  for (const Json& row : rows)
    EXPECT_EQ(to_json_line(as_json(parse_gpt_oss_response(row["text"].get<std::string>()))),
              to_json_line(row["regex"]))
        << row["name"];
}

struct Case {
  const char* why;
  std::string text;
  const char* expected;
};
const Case cases[] = {
    {"nothing", "", R"({"reasoning":null,"message":null})"},
    {"a channel's name may be of any script", "<|channel|>канал_٣<|message|>x",
     R"({"reasoning":null,"message":null,"канал_٣":"x"})"},
    {"a dash is not part of a name", "<|channel|>a-b<|message|>x", R"({"reasoning":null,"message":null})"},
    {"Unicode white space is stripped", "<|channel|>final<|message|>\u3000\u00a0x\u2028\x1c",
     R"({"reasoning":null,"message":"x"})"},
    {"a zero-width space is not white space", "<|channel|>final<|message|>\u200bx",
     "{\"reasoning\":null,\"message\":\"\u200bx\"}"},
    {"the ends lack their last character", "<|channel|>final<|message|>x<|end|y",
     R"({"reasoning":null,"message":"x"})"},
    {"an empty later one replaces final", "<|channel|>final<|message|>x<|end|><|channel|>final<|message|>",
     R"({"reasoning":null,"message":""})"},
    {"but not another channel", "<|channel|>c<|message|>x<|end|><|channel|>c<|message|>",
     R"({"reasoning":null,"message":null,"c":"x"})"},
    {"the results were one dictionary", "<|channel|>message<|message|>x", R"({"reasoning":null,"message":"x"})"},
    {"broken bytes", "<|channel|>final<|message|>a\xff\xf0\x9f",
     "{\"reasoning\":null,\"message\":\"a\ufffd\ufffd\"}"},
};

TEST(GptOssResponse, Table) {
  for (const Case& c : cases)
    EXPECT_EQ(to_json_line(as_json(parse_gpt_oss_response(c.text))), c.expected) << c.why;
}

TEST(GptOssResponse, TakesLinearTime) {
  for (const char* piece :
       {"<|channel|>", "<|channel|>a", "<|", "<|channel|>final<|message|>", "<|start|>assistant to="}) {
    std::string text;
    while (text.size() < 4'000'000) text += piece;
    parse_gpt_oss_response(text);  // quadratic, this would take hours
  }
}

}  // namespace
}  // namespace chorus
