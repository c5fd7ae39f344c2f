#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/utf8.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/golden_tokenizers.h"

namespace chorus::tokenizer {
namespace {

TokenIds random_ids(std::mt19937& random, int32_t vocab_size) {
  TokenIds ids(random() % 30);
  for (int32_t& id : ids) {
    const auto kind = random() % 8;
    if (kind == 0)
      id = int32_t(random());  // anything, also negative
    else if (kind < 4)
      id = int32_t(random() % 300);  // bytes, special tokens
    else
      id = int32_t(random() % uint32_t(vocab_size));
  }
  return ids;
}

TEST(Detokenizer, EqualsDecodeAndNeverCutsACharacter) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  for (const auto& entry : std::filesystem::directory_iterator(goldens())) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const auto tokenizer = golden_tokenizer(entry.path());
    std::mt19937 random(3);
    for (const bool skip_special : {false, true}) {
      Detokenizer detokenizer(tokenizer, skip_special);  // used again after finish()
      for (int round = 0; round < 1000; ++round) {
        const TokenIds ids = random_ids(random, tokenizer->vocab_size());
        std::string text;
        for (const int32_t id : ids) {
          const std::string piece = detokenizer.add(id);
          ASSERT_TRUE(is_utf8(piece));
          text += piece;
        }
        text += detokenizer.finish();
        ASSERT_EQ(text, tokenizer->decode(ids, skip_special)) << testing::PrintToString(ids);
      }
    }
  }
}

TEST(Detokenizer, HoldsBackOnlyWhatIsNotSettled) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  const auto tokenizer = golden_tokenizer(goldens() / "o200k_harmony");
  Detokenizer detokenizer(tokenizer);
  size_t held = 0;
  for (const int32_t id : tokenizer->encode("Grüße 👨‍👩‍👧 an 日本語 \xf0\x9f\x98")) {
    const std::string piece = detokenizer.add(id);
    held = piece.empty() ? held + 1 : 0;
    EXPECT_LT(held, 4u);
  }
}

// Random bytes, so also what is not UTF-8: byte-level vocabularies give it back with U+FFFD in its place.
TEST(Tokenizer, EncodesAnyBytes) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  std::mt19937 random(5);
  for (const auto& entry : std::filesystem::directory_iterator(goldens())) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const auto tokenizer = golden_tokenizer(entry.path());
    const bool lossless =
        name == "o200k_harmony" || name == "llama3_like" || name == "gpt2_like" || name == "smollm_like";
    for (int round = 0; round < 300; ++round) {
      std::string text(random() % 200, '\0');
      for (char& c : text) c = char(random() % (round % 2 ? 256 : 128));
      const TokenIds ids = tokenizer->encode(text);
      if (lossless) {
        ASSERT_EQ(tokenizer->decode(ids), replace_invalid_utf8(text));
      }
    }
  }
}

TEST(Tokenizer, LongRunsTakeNoMoreThanLinearTime) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  const char* const units[] = {
      "a", " ", "\n",  "\xf0\x9f\x98\x80", "A", "ab", "'", "\xcc\x81", "\xe4\xbd\xa0", "<|", " a",
      "▁", "0", "\xff"};
  for (const auto& entry : std::filesystem::directory_iterator(goldens())) {
    if (!entry.is_directory()) continue;
    const auto tokenizer = golden_tokenizer(entry.path());
    const bool library_is_quadratic = entry.path().filename() == "sentencepiece_unigram";  // on unknown characters
    for (const char* unit : units) {
      if (library_is_quadratic && static_cast<unsigned char>(unit[0]) >= 0x80) continue;
      std::string text;
      while (text.size() < 100000) text += unit;
      const auto begin = std::chrono::steady_clock::now();
      tokenizer->encode(text);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      EXPECT_LT(seconds, 5.0) << entry.path().filename() << " "
                              << testing::PrintToString(unit);  // quadratic: minutes
    }
  }
}

TEST(Tokenizer, BatchEqualsOneByOne) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  const auto tokenizer = golden_tokenizer(goldens() / "o200k_harmony");
  std::vector<std::string> texts;
  for (const Json& row : json_lines_of(goldens() / "o200k_harmony/cases.jsonl")) texts.push_back(row["text"]);
  ThreadPool threads(4);
  const std::vector<TokenIds> batch = tokenizer->encode_batch(texts, threads);
  ASSERT_EQ(batch.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(batch[i], tokenizer->encode(texts[i]));
}

// Pieces are remembered per thread and model: whatever was encoded before, and by whom, the ids are the same.
TEST(Tokenizer, ModelsDoNotMixTheirPieces) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  std::vector<std::shared_ptr<const Tokenizer>> tokenizers;
  for (const char* name : {"llama3_like", "gpt2_like", "o200k_harmony"})
    tokenizers.push_back(Tokenizer::load(goldens() / name));
  const std::string words = " antidisestablishmentarianism Überraschung naïveté 今天下午 1234567 zzzzzz qqqqqq";
  std::vector<TokenIds> first;
  for (const auto& tokenizer : tokenizers) first.push_back(tokenizer->encode(words));
  for (int round = 0; round < 3; ++round)
    for (size_t i = 0; i < tokenizers.size(); ++i) EXPECT_EQ(tokenizers[i]->encode(words), first[i]);
  EXPECT_EQ(Tokenizer::load(goldens() / "llama3_like")->encode(words), first[0]);
  for (size_t i = 0; i < tokenizers.size(); ++i) EXPECT_EQ(tokenizers[i]->decode(first[i]), words);
}

TEST(Tokenizer, TokensByNameAndId) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  const auto tokenizer = golden_tokenizer(goldens() / "o200k_harmony");
  EXPECT_EQ(tokenizer->token_to_id("<|return|>"), 200002);
  EXPECT_EQ(tokenizer->token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->id_to_token(200002), "<|return|>");
  EXPECT_EQ(tokenizer->id_to_token(220), "Ġ");
  EXPECT_EQ(tokenizer->id_to_token(-1), "");
  EXPECT_EQ(tokenizer->id_to_token(1 << 30), "");
  EXPECT_TRUE(tokenizer->is_special(200006));
  EXPECT_FALSE(tokenizer->is_special(220));
  EXPECT_EQ(tokenizer->vocab_size(), 200019);
}

}  // namespace
}  // namespace chorus::tokenizer
