#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "base/utf8.h"
#include "goldens.h"
#include "harmony/parser.h"
#include "harmony/text_parser.h"

namespace chorus::harmony {
namespace {

const HarmonyTokens o200k = {.start = 200006,
                             .end = 200007,
                             .message = 200008,
                             .channel = 200005,
                             .return_ = 200002,
                             .call = 200012,
                             .constrain = 200003};

// The byte-level BPE's letters that stand for bytes: printable Latin-1 for themselves, the others from U+0100 on.
std::map<char32_t, char> byte_of_letter() {
  std::map<char32_t, char> bytes;
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    bytes[itself ? char32_t(b) : next++] = char(b);
  }
  return bytes;
}

constexpr const char* vocabulary = "tokenizers/o200k_harmony/tokenizer.json";

// token id -> its bytes.
std::map<int32_t, std::string> token_bytes() {
  std::map<int32_t, std::string> pieces;
  const auto file = test::golden(vocabulary);
  if (file.empty()) return pieces;
  const auto tokenizer =
      nlohmann::json::parse(read_file(file));  // Json's ordered objects are slow at 200,000 keys
  const auto letters = byte_of_letter();
  for (const auto& [text, id] : tokenizer["model"]["vocab"].items()) {
    std::string& bytes = pieces[id.get<int32_t>()];
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      bytes += letters.at(c.value);
      at += c.size;
    }
  }
  for (const auto& added : tokenizer["added_tokens"])
    pieces[added["id"].get<int32_t>()] = added["content"].get<std::string>();
  return pieces;
}

Json or_null(const std::optional<std::string>& part) {
  return part ? Json(*part) : Json();
}

Json message_json(const Message& m) {
  Json json = {{"role", to_string(m.role)},
               {"name", or_null(m.name)},
               {"recipient", or_null(m.recipient)},
               {"content", m.content},
               {"content_type", or_null(m.content_type)}};
  if (m.channel) json["channel"] = *m.channel;
  return json;
}

Json event_json(const Parser& p) {
  const char* states[] = {"ExpectStart", "Header", "Content"};
  const Header* h = p.header();
  return {{"state", states[int(p.state())]},
          {"role", p.role() ? Json(to_string(*p.role())) : Json()},
          {"channel", h ? or_null(h->channel) : Json()},
          {"recipient", h ? or_null(h->recipient) : Json()},
          {"content_type", h ? or_null(h->content_type) : Json()},
          {"delta", p.delta().empty() ? Json() : Json(p.delta())},
          {"content_len", utf8_length(p.content())},
          {"messages", p.messages().size()}};
}

using SortedJson = nlohmann::json;  // compares without the order of keys
SortedJson sorted(const Json& json) {
  return SortedJson::parse(json.dump());
}

ParserOptions options_of(const Json& row) {
  ParserOptions options;
  options.start_role =
      row["start_role"].is_null() ? std::nullopt : role_named(row["start_role"].get<std::string>());
  options.strict = row["strict"].get<bool>();
  return options;
}

void expect_messages(const Parser& parser, const Json& row) {
  const Json& harmony = row["harmony"];
  const bool raises = harmony.contains("error") || harmony.contains("eos_error");
  const Json& expected = harmony["messages"];
  ASSERT_GE(parser.messages().size(), expected.size());
  if (!raises) {
    EXPECT_EQ(parser.messages().size(), expected.size());
  }
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(sorted(message_json(parser.messages()[i])), sorted(expected[i]));
  const std::string category = row["category"].get<std::string>();
  if (raises || category == "malformed") {
    EXPECT_TRUE(parser.malformed());
  } else if (category != "special_in_content") {
    EXPECT_FALSE(parser.malformed());
  }
}

TEST(ParserGoldens, TokensGiveTheMessagesAndStatesOfHarmony) {
  const std::vector<Json> rows = test::json_lines_of(test::golden("harmony/parse_cases.jsonl"));
  std::map<int32_t, std::string> pieces = token_bytes();
  if (pieces.empty()) GTEST_SKIP() << test::no_golden(vocabulary);
  pieces[250000] = "\xf0";  // not in the vocabulary: harmony shows one U+FFFD, as for half a character
  for (const int32_t reserved : {201087, 201088})  // harmony's vocabulary goes further than tokenizer.json's
    pieces[reserved] = "<|reserved_" + std::to_string(reserved) + "|>";
  size_t events = 0;
  for (const Json& row : rows) {
    SCOPED_TRACE(row["name"].get<std::string>());
    Parser parser(o200k, options_of(row));
    for (size_t k = 0; k < row["tokens"].size(); ++k) {
      const int32_t token = row["tokens"][k].get<int32_t>();
      parser.feed(token, pieces[token]);
      if (k >= row["events"].size()) continue;
      ++events;
      ASSERT_EQ(sorted(event_json(parser)), sorted(row["events"][k])) << "token " << k;
    }
    const Json& before = row["harmony"]["before_eos"];
    if (!row["harmony"].contains("error")) {
      ASSERT_EQ(parser.messages().size(), before["partial_messages"].size());
      EXPECT_EQ(parser.content(), before["current_content"].get<std::string>());
      const Header header = parser.header() ? *parser.header() : Header{};
      EXPECT_EQ(or_null(header.channel), before["current_channel"]);
      EXPECT_EQ(or_null(header.recipient), before["current_recipient"]);
      EXPECT_EQ(or_null(header.content_type), before["current_content_type"]);
    }
    parser.finish();
    expect_messages(parser, row);
  }
  EXPECT_EQ(rows.size(), 123u);
  EXPECT_GT(events, 1000u);
}

TEST(ParserGoldens, TextGivesTheSameMessages) {
  const std::vector<Json> rows = test::json_lines_of(test::golden("harmony/parse_cases.jsonl"));
  ASSERT_EQ(rows.size(), 123u);
  for (const Json& row : rows) {
    if (row["category"] == "tokens") continue;  // there the text does not say which tags are tokens
    SCOPED_TRACE(row["name"].get<std::string>());
    TextParser parser(options_of(row));
    parser.feed(row["text"].get<std::string>());
    parser.finish();
    expect_messages(parser.parser(), row);
  }
}

TEST(ParserGoldens, WellFormedInputIsReadAlikeWhenTolerant) {
  for (const Json& row : test::json_lines_of(test::golden("harmony/parse_cases.jsonl"))) {
    if (row["category"] != "complete" && row["category"] != "truncated") continue;
    SCOPED_TRACE(row["name"].get<std::string>());
    ParserOptions options = options_of(row);
    options.strict = false;
    TextParser parser(options);
    parser.feed(row["text"].get<std::string>());
    parser.finish();
    expect_messages(parser.parser(), row);
  }
}

}  // namespace
}  // namespace chorus::harmony
