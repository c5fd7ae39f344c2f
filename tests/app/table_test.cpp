#include <gtest/gtest.h>

#include <sstream>

#include "app/run_program.h"
#include "base/file.h"
#include "base/utf8.h"

namespace chorus::test {
namespace {

TEST(Table, ShowsEveryRowInTheOrderOfTheInput) {
  const std::filesystem::path scratch = scratch_folder();
  const std::string output = (scratch / "out.jsonl").string();
  write_file(
      scratch / "in.jsonl",
      "{\"id\": \"long\", \"prompt\": \"first: a question of so many words, and some more, and even more, that it "
      "cannot stand in one line\", \"max_tokens\": 60}\n"
      "{\"id\": \"bad\", \"prompt\": 7}\n"
      "{\"id\": \"short\", \"prompt\": \"third: täglich\\n\\u001b[2J\", \"max_tokens\": 1}\n"
      "{\"id\": \"ids\", \"tokens\": [5, 6], \"max_tokens\": 1}\n");
  const std::vector<std::string> arguments = {
      "batch",    "--model", small_model(), "--input", (scratch / "in.jsonl").string(),
      "--output", output,    "--table"};
  const Ended run = run_chorus(arguments);
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_EQ(run.out.find('\x1b'), run.out.npos) << "no colours in a pipe, and none of the model's or the input's";
  size_t at = 0;
  for (const char* text : {"question", "answer\n", "first: a question", "bad", "third: täglich", "row ids"}) {
    at = run.out.find(text, at);
    ASSERT_NE(at, run.out.npos) << text << "\n" << run.out;
  }
  std::istringstream lines(run.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(utf8_length(line), 100u) << line;

  std::vector<std::string> again = arguments;
  again.push_back("--resume");
  EXPECT_EQ(run_chorus(again).out, run.out) << "rows of the earlier run are shown too";
}

TEST(Table, NeedsAnOutputFile) {
  const Ended run =
      run_chorus({"batch", "--model", small_model(), "--input", "-", "--output", "-", "--table"}, "\"hi\"\n");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("--table"), std::string::npos) << run.err;
  EXPECT_EQ(run.out, "");
}

}  // namespace
}  // namespace chorus::test
