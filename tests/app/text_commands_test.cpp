#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/run_program.h"
#include "base/file.h"
#include "base/json.h"

namespace chorus::test {
namespace {

const std::string demo = std::string(CHORUS_SOURCE_DIR) + "/models/demo";

TEST(TextCommands, TokenizeAndDetokenizeAnswerLineByLine) {
  const Ended ids = run_chorus(
      {"tokenize", "--model", demo},
      "{\"text\": \"What is 12 x 12?<|end|>\"}\n{\"txt\": 1}\n{\"text\": \"<|end|>\", \"special\": false}\n");
  EXPECT_EQ(ids.exit_code, 1);
  const auto lines = json_lines(ids.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["ids"].back(), 1021);
  EXPECT_EQ(lines[1]["error"], "unknown field (field: txt)");
  EXPECT_GT(lines[2]["ids"].size(), 1u) << "special tokens are text there";
  const Ended text =
      run_chorus({"detokenize", "--model", demo}, lines[0].dump() + "\n" + lines[2].dump() + "\n[1]\n");
  EXPECT_EQ(text.exit_code, 1);
  const auto texts = json_lines(text.out);
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0]["text"], "What is 12 x 12?<|end|>");
  EXPECT_EQ(texts[1]["text"], "<|end|>");
  EXPECT_EQ(texts[2]["error"], "the line is not a JSON object");
}

TEST(TextCommands, BenchSaysWhereNoStepHasAllRows) {
  const auto bench = [](const char* batch) {
    return run_chorus({"bench", "--model", demo, "--device", "cpu", "--threads", "1", "--batch", batch, "--generate",
                       "8", "--prompt-tokens", "70"});
  };
  const std::string dash = "  -", note = "in no step did all";
  const std::string two = bench("2").out, many = bench("64").out;  // prompts of 64 rows fill more than eight steps
  EXPECT_EQ(two.find(note), std::string::npos) << two;
  EXPECT_EQ(two.find(dash), std::string::npos) << two;
  EXPECT_NE(many.find(note + " 64 rows"), std::string::npos) << many;
  EXPECT_NE(many.find(dash), std::string::npos) << many;
}

TEST(TextCommands, TemplatePrintsThePromptAndNothingElse) {
  const std::string messages = R"([{"role": "user", "content": "hi"}])";
  const std::vector<std::string> base = {
      "template", "--model", demo, "--messages", "-", "--date", "2026-01-15", "--reasoning-effort", "low"};
  const std::string prompt = run_chorus(base, messages).out;
  EXPECT_TRUE(prompt.ends_with("<|start|>user<|message|>hi<|end|><|start|>assistant")) << prompt;
  EXPECT_NE(prompt.find("2026-01-15"), std::string::npos);
  EXPECT_NE(prompt.find("low"), std::string::npos);
  std::vector<std::string> more = base;
  more.push_back("--no-generation-prompt");
  EXPECT_TRUE(run_chorus(more, messages).out.ends_with("hi<|end|>"));
  more = base;
  more.push_back("--tokens");
  const std::string with_tokens = run_chorus(more, messages).out;
  ASSERT_TRUE(with_tokens.starts_with(prompt + "\n["));
  const Ended ids = run_chorus({"tokenize", "--model", demo}, Json({{"text", prompt}}).dump());
  EXPECT_EQ(with_tokens.substr(prompt.size() + 1), json_lines(ids.out)[0]["ids"].dump() + "\n");
}

// What the program writes when its output is a terminal.
std::string on_a_terminal(const std::vector<std::string>& arguments) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    std::vector<char*> argv = {const_cast<char*>(CHORUS_PROGRAM)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(terminal, buffer, sizeof buffer)) > 0;) out.append(buffer, size_t(n));
  ::close(terminal);
  ::waitpid(child, nullptr, 0);
  return out;
}

TEST(TextCommands, TokensAreInColourOnATerminal) {
  const std::filesystem::path messages = scratch_folder() / "messages.json";
  write_file(messages, R"([{"role": "user", "content": "hi"}])");
  const std::string shown = on_a_terminal({"template", "--model", demo, "--messages", messages.string(), "--tokens"});
  for (const char* part : {"\x1b[7m<|start|>\x1b[0m", "\x1b[1;32m", "\x1b[36m", "\x1b[39m"})
    EXPECT_NE(shown.find(part), std::string::npos) << shown;
  EXPECT_NE(shown.rfind("]"), std::string::npos) << "the ids";
}

TEST(TextCommands, ParseKnowsTheFormatOfAModel) {
  const std::string qwen = golden("templates/Qwen-Qwen3-0.6B");
  if (qwen.empty()) GTEST_SKIP() << no_golden("templates/Qwen-Qwen3-0.6B");
  const Ended run = run_chorus({"parse", "--model", qwen, "--prompt-end", "<think>\n"},
                               "hm\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>");
  const Json parsed = parse_json(run.out, "out");
  EXPECT_EQ(parsed["format"], "<think>, tool_call");
  EXPECT_EQ(parsed["reasoning"], "hm");
  EXPECT_EQ(parsed["message"], nullptr);
  EXPECT_EQ(parsed["tool_calls"][0]["function"], Json({{"name", "f"}, {"arguments", "{\"a\": 1}"}}));
  EXPECT_EQ(parsed["malformed"], false);
}

TEST(TextCommands, ParseTakesAnswersApart) {
  for (const char* line_end : {"", "\n"}) {  // `echo` adds one
    const Ended run = run_chorus({"parse"},
                                 std::string("<|channel|>analysis<|message|>2 + 2<|end|><|start|>assistant<|channel|>"
                                             "final<|message|>4<|return|>") +
                                     line_end);
    const Json parsed = parse_json(run.out, "out");
    EXPECT_EQ(parsed["reasoning"], "2 + 2");
    EXPECT_EQ(parsed["message"], "4");
    EXPECT_EQ(parsed["messages"].size(), 2u);
    EXPECT_EQ(parsed["malformed"], false);
  }
  const Ended cut_off = run_chorus({"parse"}, "<|channel|>final<|message|>4\n");
  EXPECT_EQ(parse_json(cut_off.out, "out")["messages"][0]["content"], "4\n") << "here it may be the model's";
}

TEST(TextCommands, InspectCountsWhatSynthWrote) {
  const Json found = parse_json(run_chorus({"inspect", "--model", small_model(), "--json"}).out, "out");
  EXPECT_EQ(found["model_type"], "gpt_oss");
  uint64_t experts = 0, embedding = 0;
  for (const Json& m : found["modules"]) {
    if (m["module"] == "model.layers.*.mlp.experts.up_proj") experts = m["parameters"];
    if (m["module"] == "model.embed_tokens") embedding = m["parameters"];
  }
  EXPECT_EQ(embedding, 1024u * 128);
  EXPECT_EQ(experts, 2u * 8 * (128 * 128 + 128)) << "2 layers, 8 experts, matrix and bias";
}

constexpr size_t some = 40;  // cases of a golden file

TEST(TextCommands, TokenizesAsTheGoldens) {
  const std::string qwen = golden("tokenizers/qwen2_like");
  if (qwen.empty()) GTEST_SKIP() << no_golden("tokenizers/qwen2_like");
  std::string texts;
  const std::vector<Json> cases = json_lines_of(qwen + "/cases.jsonl");
  for (const Json& c : cases) texts += Json({{"text", c["text"]}}).dump() + "\n";
  const auto ids = json_lines(run_chorus({"tokenize", "--model", qwen}, texts).out);
  ASSERT_EQ(ids.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(ids[i]["ids"], cases[i]["ids"]) << cases[i]["text"];
}

TEST(TextCommands, RendersTemplatesAsTheGoldens) {
  const std::string folder = golden("templates/openai-gpt-oss-120b");
  if (folder.empty()) GTEST_SKIP() << no_golden("templates/openai-gpt-oss-120b");
  const std::vector<Json> cases = json_lines_of(folder + "/cases.jsonl");
  for (size_t i = 0; i < std::min(some, cases.size()); ++i) {
    const Json& c = cases[i];
    const std::filesystem::path tools = scratch_folder() / "tools.json";
    std::vector<std::string> arguments = {"template", "--model",          folder,   "--messages", "-",
                                          "--kwargs", c["kwargs"].dump(), "--date", "2026-01-15"};
    if (!c["tools"].is_null()) {
      write_file(tools, c["tools"].dump());
      arguments.insert(arguments.end(), {"--tools", tools.string()});
    }
    const Ended run = run_chorus(arguments, c["messages"].dump());
    if (c.contains("output"))
      EXPECT_EQ(run.out, c["output"].get<std::string>()) << c["name"] << run.err;
    else
      EXPECT_EQ(run.exit_code, 2) << c["name"];
  }
}

TEST(TextCommands, ParsesAsTheGoldens) {
  const std::vector<Json> cases = json_lines_of(golden("harmony/parse_cases.jsonl"));
  ASSERT_GE(cases.size(), some);
  for (size_t i = 0; i < some; ++i) {
    const Json& c = cases[i];
    const Json parsed = parse_json(run_chorus({"parse"}, c["text"].get<std::string>()).out, "out");
    for (const auto& [channel, text] : c["regex"].items()) EXPECT_EQ(parsed[channel], text) << c["name"];
  }
}

}  // namespace
}  // namespace chorus::test
