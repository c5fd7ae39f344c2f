// The bundled model through the whole program: problems it was never trained on, and the prompts of demo.sh.

#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "app/run_program.h"
#include "base/file.h"

namespace chorus::test {
namespace {

const std::string demo = std::string(CHORUS_SOURCE_DIR) + "/models/demo";

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// The rule of models/demo/README.md: the answer stands in the text, with no letter, digit, sign or decimal point
/// joined to it.
bool contains_answer(std::string_view message, std::string_view answer) {
  for (size_t at = message.find(answer); at != message.npos; at = message.find(answer, at + 1)) {
    const size_t end = at + answer.size();
    const char before = at > 0 ? message[at - 1] : ' ', after = end < message.size() ? message[end] : ' ';
    const char next = end + 1 < message.size() ? message[end + 1] : ' ';
    const bool joined_before = is_letter_or_digit(before) || before == '.' || before == '-';
    const bool joined_after =
        is_letter_or_digit(after) || ((after == '.' || after == ',' || after == '-') && is_letter_or_digit(next));
    if (!joined_before && !joined_after) return true;
  }
  return false;
}

Ended answer(const std::filesystem::path& input, const std::filesystem::path& output) {
  return run_chorus({"batch", "--model", demo, "--device", "cpu", "--date", "2026-01-15", "--max-tokens", "400",
                     "--table", "--input", input.string(), "--output", output.string()});
}

TEST(ContainsAnswer, WantsTheAnswerAlone) {
  struct Case {
    const char *message, *answer;
    bool right;
  };
  for (const auto& [message, answer, right] : std::vector<Case>{{"The sum is 7.", "7", true},
                                                                {"It is -7.", "7", false},
                                                                {"It is 7.5.", "7", false},
                                                                {"It is 17.", "7", false},
                                                                {"It is 2024-03-15.", "2024-03-15", true},
                                                                {"It is 2024-03-15.", "15", false},
                                                                {"Sorted: 1, 2, 3.", "1, 2, 3", true},
                                                                {"Sorted: 1, 2, 3, 4.", "1, 2, 3", true},
                                                                {"j-e-t-s-x", "j-e-t-s", false}})
    EXPECT_EQ(contains_answer(message, answer), right) << message << " / " << answer;
}

TEST(Demo, AnswersHeldOutPrompts) {
  const std::filesystem::path scratch = scratch_folder();
  const std::vector<Json> problems = json_lines_of(std::filesystem::path(demo) / "heldout.jsonl");
  ASSERT_EQ(problems.size(), 200u);
  std::string input;
  for (const Json& p : problems) input += Json({{"id", p["id"]}, {"prompt", p["prompt"]}}).dump() + "\n";
  write_file(scratch / "in.jsonl", input);
  const Ended run = answer(scratch / "in.jsonl", scratch / "out.jsonl");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  std::map<std::string, std::string> messages;
  for (const Json& line : json_lines_of(scratch / "out.jsonl")) messages[line["id"]] = line["message"];
  int right = 0;
  std::string wrong;
  for (const Json& p : problems) {
    const std::string& message = messages[p["id"]];
    if (contains_answer(message, p["answer"].get<std::string>()))
      ++right;
    else
      wrong.append("  ").append(p["prompt"].get<std::string>()).append(" -> ").append(message).append("\n");
  }
  RecordProperty("right", right);
  std::printf("%d of 200 right; wrong:\n%s", right, wrong.c_str());
  EXPECT_GE(right, 190);
}

TEST(Demo, TableOfThePrompts) {
  // A part of each answer, in the order of prompts.jsonl.
  const std::vector<const char*> answers = {"85",
                                            "144",
                                            "391",
                                            "158",
                                            "445",
                                            "12",
                                            "-25",
                                            "9.9",
                                            "314",
                                            "58",
                                            "49",
                                            "4",
                                            "9",
                                            "3",
                                            "tenalp",
                                            "suroh",
                                            "u-m-b-r-e-l-l-a",
                                            "7, 19, 42, 88",
                                            "8, 21, 50, 64",
                                            "apple, cherry, mango, pear",
                                            "23, 16, 15, 8, 4",
                                            "2024-03-15",
                                            "2026-03-06",
                                            "2025-03-15",
                                            "2026-01-16",
                                            "Friday",
                                            "420",
                                            "42000",
                                            "the demo model of chorus"};
  const std::filesystem::path scratch = scratch_folder(), input = std::filesystem::path(demo) / "prompts.jsonl";
  const std::vector<Json> prompts = json_lines_of(input);
  ASSERT_EQ(prompts.size(), answers.size());
  const Ended run = answer(input, scratch / "out.jsonl");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  std::map<std::string, std::string> messages;
  for (const Json& line : json_lines_of(scratch / "out.jsonl")) messages[line["id"]] = line["message"];
  size_t at = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string prompt = prompts[i]["prompt"];
    EXPECT_NE(messages[prompts[i]["id"]].find(answers[i]), std::string::npos)
        << prompt << " -> " << messages[prompts[i]["id"]];
    at = run.out.find(prompt.substr(0, 20), at);
    ASSERT_NE(at, std::string::npos) << prompt << " is not in its place of the table:\n" << run.out;
  }
}

}  // namespace
}  // namespace chorus::test
