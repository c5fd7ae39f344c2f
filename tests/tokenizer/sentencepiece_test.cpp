#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <random>

#include "tokenizer/detokenizer.h"
#include "tokenizer/golden_tokenizers.h"

namespace chorus::tokenizer {
namespace {

TEST(SentencePiece, EncodesAndDecodesAsTheLibraryDoes) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  for (const auto& folder : golden_folders("tokenizer.model")) {
    SCOPED_TRACE(folder.filename().string());
    const auto tokenizer = golden_tokenizer(folder);
    for (const Json& row : json_lines_of(folder / "cases.jsonl")) {
      SCOPED_TRACE(row["i"].dump() + " " + row["group"].get<std::string>());
      const TokenIds ids = row["ids"];
      EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>()), ids);
      EXPECT_EQ(tokenizer->decode(ids), row["decoded"].get<std::string>());
      Detokenizer detokenizer(tokenizer);
      std::string streamed;
      for (const int32_t id : ids) streamed += detokenizer.add(id);
      EXPECT_EQ(streamed + detokenizer.finish(), row["decoded"].get<std::string>());
      if (!row.contains("decoded_prefixes")) continue;
      for (size_t n = 1; n <= row["decoded_prefixes"].size(); ++n)
        EXPECT_EQ(tokenizer->decode(std::span(ids).first(n)), row["decoded_prefixes"][n - 1].get<std::string>())
            << n;
    }
  }
}

TEST(SentencePiece, DecodesRandomIdsAsTheLibraryDoes) {
  if (goldens().empty()) GTEST_SKIP() << no_goldens();
  for (const auto& folder : golden_folders("tokenizer.model")) {
    SCOPED_TRACE(folder.filename().string());
    const auto tokenizer = golden_tokenizer(folder);
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.Load((folder / "tokenizer.model").string()).ok());
    std::mt19937 random(1);
    for (int round = 0; round < 3000; ++round) {
      std::vector<int> ids(1 + random() % 12);
      const int limit = random() % 2 ? 270 : library.GetPieceSize();  // bytes and control tokens come first
      for (int& id : ids) id = int(random() % unsigned(limit));
      std::string expected;
      ASSERT_TRUE(library.Decode(ids, &expected).ok());
      EXPECT_EQ(tokenizer->decode(ids), expected) << testing::PrintToString(ids);
    }
  }
}

}  // namespace
}  // namespace chorus::tokenizer
