#include "harmony/parser.h"

#include <gtest/gtest.h>

#include <random>

#include "base/json.h"
#include "base/utf8.h"
#include "harmony/text_parser.h"

namespace chorus::harmony {
namespace {

std::string shown(const Parser& parser) {
  std::string out;
  for (const Message& m : parser.messages()) {
    out += std::string(to_string(m.role)) + (m.name ? ":" + *m.name : "");
    if (m.channel) out += "/" + *m.channel;
    if (m.recipient) out += ">" + *m.recipient;
    if (m.content_type) out += "(" + *m.content_type + ")";
    out += "=" + m.content + "; ";
  }
  return out + (parser.malformed() ? "malformed" : "");
}

std::string parsed(std::string_view text, ParserOptions options = {}) {
  TextParser parser(options);
  parser.feed(text);
  parser.finish();
  return shown(parser.parser());
}

struct Case {
  const char* why;
  const char* text;
  const char* expected;
};
constexpr Case cases[] = {
    {"nothing at all", "", "malformed"},
    {"no markers", "Hello there", "assistant=Hello there; malformed"},
    {"analysis was not ended", "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b",
     "assistant/analysis=a; assistant/final=b; malformed"},
    {"<|start|>assistant is missing",
     "<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b<|return|>",
     "assistant/analysis=a; assistant/final=b; malformed"},
    {"garbage between messages",
     "<|channel|>analysis<|message|>a<|end|>junk<|start|>assistant<|channel|>final<|message|>b",
     "assistant/analysis=a; assistant=junk; assistant/final=b; malformed"},
    {"glued role and channel", "<|channel|>analysis<|message|>a<|end|><|start|>assistantfinal<|message|>b",
     "assistant/analysis=a; assistant/final=b; malformed"},
    {"channel in the place of the role", "<|channel|>analysis<|message|>a<|end|><|start|>final<|message|>b",
     "assistant/analysis=a; assistant/final=b; malformed"},
    {"unknown role", "<|end|><|start|>narrator<|message|>x<|end|>", "assistant:narrator=x; malformed"},
    {"role with a name", "<|end|><|start|>user:bob<|message|>x<|end|>", "user:bob=x; malformed"},
    {"no channel behind its marker", "<|channel|><|message|>x", "assistant=x; malformed"},
    {"a space before the channel", "<|channel|> final<|message|>x", "assistant/final=x; malformed"},
    {"two channels, the last counts", "<|channel|>analysis<|channel|>final<|message|>x",
     "assistant/final=x; malformed"},
    {"words too many stay", "<|channel|>final foo bar baz<|message|>x",
     "assistant/final(foo bar baz)=x; malformed"},
    {"content type without recipient", "<|channel|>commentary <|constrain|>json<|message|>{}",
     "assistant/commentary(<|constrain|>json)={}; malformed"},
    {"<|start|> after the prompt's own", "<|start|>assistant<|channel|>final<|message|>x",
     "assistant/final=x; malformed"},
    {"starts in a row", "<|start|><|start|><|start|>assistant<|channel|>final<|message|>x",
     "assistant/final=x; malformed"},
    {"ends in a row", "<|channel|>final<|message|>x<|end|><|end|><|return|>", "assistant/final=x; malformed"},
    {"message missing", "<|channel|>final Hello<|return|>", "assistant/final=Hello; malformed"},
    {"message missing and cut off", "<|channel|>final Hello", "assistant/final=Hello; malformed"},
    {"cut off in the header", "<|channel|>commentary to=functions.f", "malformed"},
    {"only messages", "<|message|><|message|>", "assistant=<|message|>; malformed"},
    {"text after the end", "<|channel|>final<|message|>x<|return|>more",
     "assistant/final=x; assistant=more; malformed"},
    {"well-formed tool call", "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>",
     "assistant/commentary>functions.f(<|constrain|>json)={}; "},
};

TEST(Parser, MalformedTextGivesWhatIsThere) {
  for (const Case& c : cases) EXPECT_EQ(parsed(c.text), c.expected) << c.why;
}

const HarmonyTokens ids = {
    .start = 1, .end = 2, .message = 3, .channel = 4, .return_ = 5, .call = 6, .constrain = 7};

TEST(Parser, TextThatComesLateGoesBeforeTheMarker) {
  Parser parser(ids);
  parser.feed(4, "<|channel|>");
  parser.feed(100, "final");
  parser.feed(3, "<|message|>");
  parser.feed(101, "");
  parser.feed(102, "");
  parser.feed(5, "\ufffd<|return|>");
  EXPECT_EQ(shown(parser), "assistant/final=\ufffd; ");
}

TEST(Parser, CountsTheTokensOfAnalysis) {
  Parser parser(ids);
  const std::pair<int32_t, const char*> tokens[] = {
      {4, ""}, {100, "analysis"},  {3, ""}, {101, "a"},     {102, ""}, {103, "b"}, {2, ""},
      {1, ""}, {104, "assistant"}, {4, ""}, {105, "final"}, {3, ""},   {106, "x"}, {5, ""}};
  for (const auto& [token, piece] : tokens) parser.feed(token, piece);
  EXPECT_EQ(parser.reasoning_tokens(), 3);
  EXPECT_EQ(shown(parser), "assistant/analysis=ab; assistant/final=x; ");
}

std::string random_text(std::mt19937& random) {
  constexpr const char* pieces[] = {"<|start|>",
                                    "<|end|>",
                                    "<|message|>",
                                    "<|channel|>",
                                    "<|return|>",
                                    "<|call|>",
                                    "<|constrain|>",
                                    "assistant",
                                    "analysis",
                                    "final",
                                    " to=functions.f",
                                    "json",
                                    "<|",
                                    "<",
                                    "|>",
                                    " ",
                                    "\n",
                                    "x",
                                    "é",
                                    "😀",
                                    "\xf0\x9f",
                                    "\xff",
                                    "user:bob",
                                    "to=",
                                    ":"};
  std::string text;
  for (int n = int(random() % 24); n > 0; --n) text += pieces[random() % std::size(pieces)];
  return text;
}

TEST(Parser, AnyCutOfTheTextGivesTheSame) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = random_text(random);
    const ParserOptions options = {.start_role = random() % 2 ? std::optional(Role::assistant) : std::nullopt,
                                   .strict = random() % 2 == 0};
    TextParser pieces(options);
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + random() % 7;
      pieces.feed(std::string_view(text).substr(at, size));
      at += size;
    }
    pieces.finish();
    ASSERT_EQ(shown(pieces.parser()), parsed(text, options)) << text;
    ASSERT_TRUE(is_utf8(shown(pieces.parser())));
    ASSERT_NO_THROW(to_json_line(parse_text(text)));
  }
}

TEST(Parser, AFinishedMessageHoldsAllBytesOfItsContent) {
  std::mt19937 random(2);
  constexpr const char* pieces[] = {"a",
                                    "\xf0\x9f",
                                    "\x98\x80",
                                    "",
                                    "final",
                                    " to=f",
                                    "\xff\xfe"
                                    "b"};
  for (int round = 0; round < 20000; ++round) {
    Parser parser(ids, {.strict = random() % 2 == 0});
    std::string bytes;  // of the content in progress
    for (int n = int(random() % 40); n > 0; --n) {
      const int32_t token = int32_t(random() % 20);
      const std::string_view piece = ids.marker(token) == Marker::none ? pieces[random() % std::size(pieces)] : "";
      const bool in_content = parser.state() == Parser::State::content;
      const size_t finished = parser.messages().size();
      parser.feed(token, piece);
      if (!in_content) {
        bytes.clear();
      } else if (parser.messages().size() > finished) {
        ASSERT_EQ(parser.messages()[finished].content, replace_invalid_utf8(bytes));
      } else {
        bytes += ids.marker(token) == Marker::none ? piece : marker_text(ids.marker(token));
      }
    }
    const bool in_content = parser.state() == Parser::State::content;
    parser.finish();
    if (in_content) {
      ASSERT_EQ(parser.messages().back().content, replace_invalid_utf8(bytes));
    }
  }
}

}  // namespace
}  // namespace chorus::harmony
