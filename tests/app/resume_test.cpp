#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <random>

#include "app/run_program.h"
#include "base/file.h"

namespace chorus::test {
namespace {

class Resume : public testing::Test {
 protected:
  static constexpr int rows = 60;
  std::filesystem::path scratch = scratch_folder();
  std::string output = (scratch / "out.jsonl").string();

  std::vector<std::string> arguments(const std::string& out) {
    std::string input;
    for (int i = 0; i < rows; ++i)
      input += Json({{"id", fmt::format("r{}", i)},
                     {"tokens", {i, 2 * i, 7}},
                     {"max_tokens", 20 + i % 40},
                     {"temperature", 1}})
                   .dump() +
               "\n";
    input += "{ this is no JSON\n{\"id\": \"r0\", \"tokens\": [1]}\n";
    write_file(scratch / "in.jsonl", input);
    return {"batch",
            "--model",
            model_without_tokenizer(),
            "--input",
            (scratch / "in.jsonl").string(),
            "--output",
            out,
            "--resume",
            "--quiet",
            "--batch-size",
            "8"};
  }

  // id and error -> tokens
  std::map<std::string, Json> results(const std::string& file) {
    std::map<std::string, Json> found;
    for (const Json& line : json_lines_of(file))
      EXPECT_TRUE(found.emplace(line["id"].dump() + line["error"].dump(), line["token_ids"]).second)
          << "doubled: " << line["id"];
    return found;
  }
};

TEST_F(Resume, KilledAtAnyMomentNoRowIsLostOrDoubled) {
  const std::string whole = (scratch / "whole.jsonl").string();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_chorus(arguments(whole)).exit_code, 1);
  const auto whole_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  const auto expected = results(whole);
  ASSERT_EQ(expected.size(), size_t(rows) + 2);

  std::mt19937 random(1);
  int killed = 0, killed_half_way = 0;
  for (int attempt = 0; attempt < 16; ++attempt) {
    const Ended run =
        run_chorus_and_signal(arguments(output), SIGKILL, int(random() % unsigned(whole_ms.count() + 1)));
    if (run.exit_code == 128 + SIGKILL) {
      ++killed;
      const std::string so_far = std::filesystem::exists(output) ? read_file(output) : "";
      killed_half_way += !so_far.empty() && std::count(so_far.begin(), so_far.end(), '\n') < rows + 2;
    } else {  // it was through before
      ASSERT_EQ(run.exit_code, 1) << run.err;
      ASSERT_EQ(results(output), expected);
      std::filesystem::remove(output);
    }
  }
  const Ended last = run_chorus(arguments(output));
  EXPECT_EQ(last.exit_code, 1) << last.err;
  EXPECT_EQ(results(output), expected);
  EXPECT_GE(killed, 3);
  RecordProperty("killed", killed);
  RecordProperty("killed_with_some_rows_written", killed_half_way);
  std::printf("killed %d times, %d of them with some rows written\n", killed, killed_half_way);
}

TEST_F(Resume, ATornLastLineIsCutOff) {
  ASSERT_EQ(run_chorus(arguments(output)).exit_code, 1);
  const auto expected = results(output);
  const std::string content = read_file(output);
  std::mt19937 random(2);
  for (int i = 0; i < 5; ++i) {
    const size_t cut = i == 0 ? 1 : random() % content.size();
    std::ofstream(output, std::ios::trunc) << content.substr(0, cut);
    EXPECT_EQ(run_chorus(arguments(output)).exit_code, 1);
    EXPECT_EQ(results(output), expected) << "cut at byte " << cut;
  }
}

TEST_F(Resume, AnInterruptedRunSaysSoAndGoesOnLater) {
  bool interrupted = false;
  for (int after_ms = 40; after_ms < 400 && !interrupted; after_ms += 30) {
    std::filesystem::remove(output);
    const Ended run = run_chorus_and_signal(arguments(output), SIGINT, after_ms);
    interrupted = run.exit_code == 130 && std::filesystem::exists(output);
    if (interrupted && !run.err.empty()) {
      EXPECT_NE(run.err.find("--resume"), std::string::npos) << run.err;
    }
  }
  EXPECT_EQ(run_chorus(arguments(output)).exit_code, 1);
  EXPECT_EQ(results(output).size(), size_t(rows) + 2);
}

TEST_F(Resume, AnotherJobIsRefusedByName) {
  ASSERT_EQ(run_chorus(arguments(output)).exit_code, 1);
  const std::string before = read_file(output);
  std::vector<std::string> warmer = arguments(output);
  warmer.insert(warmer.end(), {"--temp", "0.5", "--max-tokens", "9"});
  const Ended run = run_chorus(warmer);
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("temperature: was 0.0, now 0.5"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("max_tokens: was 131072, now 9"), std::string::npos) << run.err;
  std::vector<std::string> changed = arguments(output);
  write_file(scratch / "in.jsonl", "{\"tokens\": [1]}\n");
  EXPECT_NE(run_chorus(changed).err.find("input_hash"), std::string::npos);
  EXPECT_EQ(read_file(output), before);
}

}  // namespace
}  // namespace chorus::test
