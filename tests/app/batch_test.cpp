#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "app/run_program.h"
#include "base/file.h"

namespace chorus::test {
namespace {

class Batch : public testing::Test {
 protected:
  std::filesystem::path scratch = scratch_folder();
  Ended last{};

  std::map<std::string, Json> batch(const char* input_name, std::string_view input, const std::string& model,
                                    std::vector<std::string> more = {}) {
    write_file(scratch / input_name, input);
    std::vector<std::string> arguments = {"batch",
                                          "--model",
                                          model,
                                          "--input",
                                          (scratch / input_name).string(),
                                          "--output",
                                          (scratch / "out.jsonl").string(),
                                          "--overwrite"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    last = run_chorus(arguments);
    std::map<std::string, Json> results;
    for (const Json& line : json_lines_of(scratch / "out.jsonl"))
      EXPECT_TRUE(
          results.emplace(line["id"].get<std::string>() + (line["error"].is_null() ? "" : "!"), line).second);
    return results;
  }
};

TEST_F(Batch, BadRowsFailAlone) {
  struct Case {
    const char* line;
    const char* error;  // part of it
  };
  const Case bad[] = {
      {R"({"id": "x1", "tokens": [1], "colour": "red"})", "unknown field (line: 2; field: colour)"},
      {R"({"id": "x2", "tokens": [1],)", "JSON ends too early (line: 3"},
      {R"({"id": "x3"})", "none of prompt, messages and tokens (line: 4)"},
      {R"({"id": "x4", "tokens": [1], "prompt": "hi"})", "more than one of"},
      {R"({"id": "x5", "tokens": [1], "temperature": "warm"})", "field: temperature; expected: a number"},
      {R"({"id": "x6", "tokens": [1], "temperature": -1})", "temperature"},
      {R"({"id": "x7", "tokens": [70000]})", "not in the vocabulary"},
      {R"({"id": "x8", "tokens": []})", "(line: 9"},
      {R"({"id": "good", "tokens": [1]})", "duplicate id (line: 10; first on line: 1)"},
      {R"({"id": "x10", "tokens": [1], "seed": -5})", "field: seed"},
      {R"({"custom_id": "x11", "body": {"messages": [{"role": "user", "content": "hi"}], "n": 2}})", "field: n"},
      {R"({"custom_id": "x12", "url": "/v1/embeddings", "body": {"prompt": "hi"}})", "field: url"},
      {R"({"id": "x13", "messages": [{"content": "hi"}]})", "field: messages"},
      {"17", "neither a JSON object nor a string (line: 15)"},
      {R"({"id": "x15", "prompt": "hi"})", "no tokenizer"},
  };
  std::string input = "{\"id\": \"good\", \"tokens\": [1, 2, 3], \"max_tokens\": 4}\n";
  for (const Case& c : bad) input += std::string(c.line) + "\n";
  input += "\n{\"id\": \"last\", \"tokens\": [4, 5], \"max_tokens\": 3}\n";
  const auto results = batch("in.jsonl", input, model_without_tokenizer());
  EXPECT_EQ(last.exit_code, 1) << last.err;
  EXPECT_EQ(results.size(), std::size(bad) + 2);
  ASSERT_TRUE(results.contains("good") && results.contains("last"));
  EXPECT_EQ(results.at("good")["generated_tokens"], 4);
  EXPECT_EQ(results.at("last")["token_ids"].size(), 3u);
  std::string errors;
  for (const auto& [id, result] : results)
    if (!result["error"].is_null()) {
      EXPECT_EQ(result["finish_reason"], "error");
      errors += result["error"].get<std::string>() + "\n";
    }
  for (const Case& c : bad) EXPECT_NE(errors.find(c.error), std::string::npos) << c.error << "\nin: " << errors;
}

TEST_F(Batch, TextLinesAreUserMessages) {
  const auto results =
      batch("in.txt", "\xef\xbb\xbfWhat is 1 + 1?\r\n\n  \nWhat is 2 + 2?", small_model(), {"--max-tokens", "5"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  ASSERT_EQ(results.size(), 2u);
  ASSERT_TRUE(results.contains("1") && results.contains("4")) << "the id is the line's number";
  EXPECT_GT(results.at("1")["prompt_tokens"], 20) << "the chat template adds its own";
  EXPECT_FALSE(results.at("1").contains("token_ids"));
}

TEST_F(Batch, EveryFormOfAPromptIsTheSamePrompt) {
  const std::string input = R"("hello"
{"id": "own", "prompt": "hello"}
{"id": "messages", "messages": [{"role": "user", "content": "hello"}]}
{"custom_id": "openai", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 6, "temperature": null}}
{"id": "low", "prompt": "hello", "reasoning_effort": "low"}
{"id": "raw", "prompt": "hello", "raw": true}
)";
  auto results = batch("in.jsonl", input, small_model(), {"--max-tokens", "6", "--token-ids"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  ASSERT_EQ(results.size(), 6u);
  for (const char* id : {"own", "messages", "openai"}) {
    EXPECT_EQ(results[id]["prompt_tokens"], results["1"]["prompt_tokens"]) << id;
    EXPECT_EQ(results[id]["token_ids"], results["1"]["token_ids"]) << id;
  }
  EXPECT_NE(results["low"]["prompt_tokens"], Json());
  EXPECT_LT(results["raw"]["prompt_tokens"], 6);
}

TEST_F(Batch, ARowDrawsTheSameWhereverItStands) {
  const std::string a = R"({"id": "a", "tokens": [1, 2, 3], "max_tokens": 12, "temperature": 1})";
  const std::string b = R"({"id": "b", "tokens": [1, 2, 3], "max_tokens": 12, "temperature": 1})";
  const std::string seeded = R"({"id": "c", "tokens": [1, 2, 3], "max_tokens": 12, "temperature": 1, "seed": 7})";
  const std::string seeded_too =
      R"({"id": "d", "tokens": [1, 2, 3], "max_tokens": 12, "temperature": 1, "seed": 7})";
  auto together = batch("in.jsonl", a + "\n" + b + "\n" + seeded + "\n" + seeded_too, model_without_tokenizer());
  auto alone = batch("in.jsonl", "\n\n" + b, model_without_tokenizer());
  EXPECT_EQ(together["b"]["token_ids"], alone["b"]["token_ids"]);
  EXPECT_NE(together["a"]["token_ids"], together["b"]["token_ids"]) << "rows without a seed draw by their id";
  EXPECT_EQ(together["c"]["token_ids"], together["d"]["token_ids"]) << "equal seeds, equal draws";
}

TEST_F(Batch, SeveralDevicesWriteEveryRowOfOneFileOnce) {
  std::string input;
  for (int row = 0; row < 40; ++row)
    input += fmt::format(R"({{"id": "r{0}", "tokens": [{0}, 2, 3], "max_tokens": {1}, "temperature": {2}}})", row + 1,
                         1 + row * 7 % 30, row % 2) +
             "\n";
  const auto one = batch("in.jsonl", input, model_without_tokenizer(), {"--device", "cpu"});
  const auto two = batch("in.jsonl", input, model_without_tokenizer(),
                         {"--device", "cpu,cpu", "--batch-size", "3", "--json"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(json_lines(last.err).at(0)["rows"], 40);
  ASSERT_EQ(two.size(), 40u);
  for (const auto& [id, result] : two) EXPECT_EQ(result["token_ids"], one.at(id)["token_ids"]) << id;
}

TEST_F(Batch, StandardInputAndOutput) {
  const Ended run =
      run_chorus({"batch", "--model", model_without_tokenizer(), "--input", "-", "--output", "-", "--json"},
                 R"({"tokens": [1, 2], "max_tokens": 2})");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto lines = json_lines(run.out);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["generated_tokens"], 2);
  const auto stats = json_lines(run.err);
  ASSERT_EQ(stats.size(), 1u) << "one object and no progress in a pipe: " << run.err;
  EXPECT_EQ(stats[0]["rows"], 1);
  EXPECT_EQ(stats[0]["generation_tokens"], 2);
}

TEST_F(Batch, GenerateGivesTheSameTokensWithAndWithoutTheCache) {
  const std::vector<std::string> base = {"generate",       "--model",      small_model(), "--prompt",
                                         "What is 1 + 1?", "--max-tokens", "24",          "--json",
                                         "--precision",    "exact",        "--date",      "2026-01-15"};
  std::vector<std::string> no_cache = base;
  no_cache.push_back("--no-cache");
  const auto cached = json_lines(run_chorus(base).out), uncached = json_lines(run_chorus(no_cache).out);
  ASSERT_EQ(cached.size(), 1u);
  ASSERT_EQ(uncached.size(), 1u);
  EXPECT_EQ(cached[0]["token_ids"], uncached[0]["token_ids"]);
  EXPECT_EQ(cached[0]["generated_tokens"], 24);
}

}  // namespace
}  // namespace chorus::test
