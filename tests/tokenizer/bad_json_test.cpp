#include <gtest/gtest.h>

#include <fstream>

#include "chorus/error.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace chorus::tokenizer {
namespace {

// A small tokenizer whose parts a case replaces.
std::string json_with(std::string_view field, std::string_view value) {
  std::string out = "{";
  for (const auto& [name, text] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"added_tokens", "[]"},
           {"normalizer", "null"},
           {"pre_tokenizer", "null"},
           {"post_processor", "null"},
           {"decoder", "null"},
           {"model", R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})"}}) {
    if (out.size() > 1) out += ',';
    out += '"';
    out += name;
    out += "\":";
    out += name == field ? value : text;
  }
  return out + "}";
}

std::string error_of(const std::string& json) {
  try {
    Tokenizer::from_json(json, "some/tokenizer.json");
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::model);
    EXPECT_NE(std::string(e.what()).find("some/tokenizer.json"), std::string::npos) << e.what();
    return e.what();
  }
  return "no error";
}

TEST(BadJson, OneClearErrorThatNamesThePart) {
  const struct {
    const char* why;
    const char* field;
    const char* value;
    const char* expected;
  } cases[] = {
      {"unsupported model", "model", R"({"type":"Neural","vocab":{}})", "model \"Neural\""},
      {"no model type, no vocab", "model", "{}", "field: vocab"},
      {"model is no object", "model", "7", "expected: an object"},
      {"vocab of the wrong type", "model", R"({"type":"BPE","vocab":7,"merges":[]})", "expected: an object"},
      {"id is text", "model", R"({"type":"BPE","vocab":{"a":"x"},"merges":[]})", "whole number from 0"},
      {"id is negative", "model", R"({"type":"BPE","vocab":{"a":-1},"merges":[]})", "whole number from 0"},
      {"id is a fraction", "model", R"({"type":"BPE","vocab":{"a":1.5},"merges":[]})", "whole number from 0"},
      {"id is huge", "model", R"({"type":"BPE","vocab":{"a":4000000000},"merges":[]})", "whole number from 0"},
      {"id has too many digits", "model", R"({"type":"BPE","vocab":{"a":99999999999999999999999},"merges":[]})",
       "whole number from 0"},
      {"merge of an unknown token", "model", R"({"type":"BPE","vocab":{"a":0},"merges":["a c"]})",
       "model.merges[0]"},
      {"merge to an unknown token", "model", R"({"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a","b"]]})",
       "token: ab"},
      {"merge of three", "model", R"({"type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]})", "not two tokens"},
      {"merge of one", "model", R"({"type":"BPE","vocab":{"a":0},"merges":["a"]})", "not two tokens"},
      {"merge is a number", "model", R"({"type":"BPE","vocab":{"a":0},"merges":[1]})", "expected: a string"},
      {"merges is an object", "model", R"({"type":"BPE","vocab":{"a":0},"merges":{}})", "expected: an array"},
      {"dropout", "model", R"({"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]})", "dropout"},
      {"score is text", "model", R"({"type":"Unigram","unk_id":0,"vocab":[["a","x"]]})", "expected: a number"},
      {"unk_id past the end", "model", R"({"type":"Unigram","unk_id":5,"vocab":[["a",0]]})", "model.unk_id"},
      {"entry of three", "model", R"({"type":"Unigram","unk_id":0,"vocab":[["a",0,0]]})", "[token, score]"},
      {"no unknown token", "model", R"({"type":"WordPiece","unk_token":"[UNK]","vocab":{"a":0}})", "[UNK]"},
      {"vocab is cut off", "model", R"({"type":"BPE","vocab":{"a":0)", "JSON"},
      {"string is not UTF-8", "model", "{\"type\":\"BPE\",\"vocab\":{\"\xff\":0},\"merges\":[]}", "UTF-8"},
      {"lone surrogate", "model", R"({"type":"BPE","vocab":{"\ud800":0},"merges":[]})", "surrogate"},
      {"unsupported normalizer", "normalizer",
       R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Magic"}]})",
       "part: normalizer.normalizers[1]"},
      {"normalizer without type", "normalizer", "{}", "field: type"},
      {"normalizer is a list", "normalizer", "[]", "expected: an object"},
      {"charsmap is not base64", "normalizer", R"({"type":"Precompiled","precompiled_charsmap":"*"})", "base64"},
      {"charsmap is too short", "normalizer", R"({"type":"Precompiled","precompiled_charsmap":"/////w=="})",
       "trie lies within"},
      {"unsupported pre-tokenizer", "pre_tokenizer", R"({"type":"UnicodeScripts"})",
       "pre-tokenizer \"UnicodeScripts\""},
      {"unsupported behavior", "pre_tokenizer",
       R"({"type":"Split","pattern":{"String":"a"},"behavior":"Explode"})", "behavior \"Explode\""},
      {"invalid regex", "pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"})",
       "regex: (a"},
      {"pattern of no kind", "pre_tokenizer", R"({"type":"Split","pattern":{"Glob":"*"},"behavior":"Isolated"})",
       "pre_tokenizer.pattern"},
      {"flag is a number", "pre_tokenizer", R"({"type":"ByteLevel","use_regex":1})", "expected: true or false"},
      {"replacement of two characters", "pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})",
       "expected: one character"},
      {"unsupported scheme", "pre_tokenizer", R"({"type":"Metaspace","replacement":"a","prepend_scheme":"last"})",
       "prepend_scheme"},
      {"unsupported decoder", "decoder", R"({"type":"CTC"})", "decoder \"CTC\""},
      {"decoder behind a fuse", "decoder",
       R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]})", "behind one that joins"},
      {"unsupported post-processor", "post_processor", R"({"type":"Party"})", "post-processor \"Party\""},
      {"special token without ids", "post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{}})",
       "field: <s>"},
      {"special id is huge", "post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"s"}},{"Sequence":{"id":"A"}}],"special_tokens":{"s":{"ids":[4000000000]}}})",
       "token id of at most"},
      {"template without the text", "post_processor",
       R"({"type":"TemplateProcessing","single":[],"special_tokens":{}})", "the sequence A, once"},
      {"added tokens are no list", "added_tokens", "{}", "expected: an array"},
      {"added token without content", "added_tokens", R"([{"id":5}])", "field: content"},
      {"added id is huge", "added_tokens", R"([{"id":2000000000,"content":"x"}])", "added_tokens[0].id"},
      {"added id is negative", "added_tokens", R"([{"id":-2,"content":"x"}])", "whole number"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_NE(error_of(json_with(c.field, c.value)).find(c.expected), std::string::npos)
        << error_of(json_with(c.field, c.value));
  }
  EXPECT_EQ(error_of(json_with("", "")), "no error");
  EXPECT_NE(error_of("").find("ends too early"), std::string::npos);
  EXPECT_NE(error_of("[]").find("an object"), std::string::npos);
  EXPECT_NE(error_of("{}").find("field: model"), std::string::npos);
  EXPECT_NE(error_of(json_with("", "") + "x").find("end of the file"), std::string::npos);
  EXPECT_NE(error_of(json_with("normalizer", std::string(100000, '['))).find("JSON"), std::string::npos);
}

TEST(BadJson, EveryCutIsAnErrorAndNoCrash) {
  const std::string whole = json_with(
      "decoder", R"({"type":"Sequence","decoders":[{"type":"Strip","content":" ","start":1,"stop":0}]})");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(error_of(whole.substr(0, size)), "no error") << size;
}

// Odd but harmless files load and work as Hugging Face has it.
TEST(OddJson, LoadsAndEncodes) {
  const struct {
    const char* why;
    const char* model;
    const char* text;
    TokenIds ids;
  } cases[] = {
      {"merge that gives back a part",
       R"({"type":"BPE","vocab":{"a":0,"":1},"merges":[["a",""],["","a"]]})",
       "aaa",
       {0, 0, 0}},
      {"empty vocabulary", R"({"type":"BPE","vocab":{},"merges":[]})", "abc", {}},
      {"the same merge twice: the later rank counts",
       R"({"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"bc":4},"merges":["a b","b c","a b"]})",
       "abc",
       {0, 4}},
      {"model type left out", R"({"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})", "ab", {2}},
      {"merges before vocab", R"({"merges":["a b"],"vocab":{"a":0,"b":1,"ab":2},"type":"BPE"})", "ab", {2}},
      {"escaped keys", R"({"type":"BPE","vocab":{"\u0061":0,"\ud83d\ude00":1},"merges":[]})", "a😀", {0, 1}},
      {"unknown characters, fused",
       R"({"type":"BPE","unk_token":"u","fuse_unk":true,"vocab":{"u":0,"a":1},"merges":[]})",
       "xxaxx",
       {0, 1, 0}},
      {"unknown characters, one by one",
       R"({"type":"BPE","unk_token":"u","vocab":{"u":0,"a":1},"merges":[]})",
       "xxax",
       {0, 0, 1, 0}},
      {"prefix and suffix",
       R"({"type":"BPE","continuing_subword_prefix":"##","end_of_word_suffix":"$","vocab":{"a":0,"##b$":1,"ab$":2},"merges":["a ##b$"]})",
       "ab",
       {2}},
      {"WordPiece", R"({"type":"WordPiece","unk_token":"u","vocab":{"u":0,"he":1,"##llo":2}})", "hello", {1, 2}},
      {"WordPiece, unknown part",
       R"({"type":"WordPiece","unk_token":"u","vocab":{"u":0,"he":1,"##llo":2}})",
       "helly",
       {0}},
      {"WordLevel", R"({"type":"WordLevel","unk_token":"u","vocab":{"u":0,"hello":1}})", "hello", {1}},
      {"Unigram takes the best sum",
       R"({"type":"Unigram","unk_id":0,"vocab":[["u",0],["a",-1],["b",-1],["ab",-3]]})",
       "ab",
       {1, 2}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(Tokenizer::from_json(json_with("model", c.model), "x")->encode(c.text), c.ids);
  }
}

TEST(Load, FolderWithoutTokenizer) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "chorus_no_tokenizer";
  std::filesystem::create_directories(folder);
  try {
    Tokenizer::load(folder);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("tokenizer.json or tokenizer.model"), std::string::npos);
  }
}

TEST(Load, TokensThatOnlyTheConfigKnows) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "chorus_config_tokens";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << json_with("", "");
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"added_tokens_decoder":{"7":{"content":"<x>","special":true}},"eos_token":"ab","bos_token":{"content":"b"}})";
  const auto tokenizer = Tokenizer::load(folder);
  EXPECT_EQ(tokenizer->encode("a<x>a"), (TokenIds{0, 7, 0}));
  EXPECT_EQ(tokenizer->encode("a<x>", {.parse_special = false}), (TokenIds{0}));
  EXPECT_TRUE(tokenizer->is_special(7));
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_TRUE(tokenizer->is_special(1));
  EXPECT_EQ(tokenizer->vocab_size(), 8);

  for (const char* broken :
       {R"({"added_tokens_decoder":{"x":{"content":"y"}}})", R"({"added_tokens_decoder":[1]})",
        R"({"added_tokens_decoder":{"99999999":{"content":"y"}}})", "[", "7"}) {
    std::ofstream(folder / "tokenizer_config.json") << broken;
    try {
      Tokenizer::load(folder);
      ADD_FAILURE() << broken;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("tokenizer_config.json"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace chorus::tokenizer
