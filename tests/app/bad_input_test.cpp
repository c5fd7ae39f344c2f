#include <gtest/gtest.h>

#include "app/run_program.h"
#include "base/file.h"

namespace chorus::test {
namespace {

struct Case {
  const char* why;
  std::vector<std::string> arguments;
  int exit_code;
  std::vector<const char*> words;  // of the message
};

class BadInput : public testing::Test {
 protected:
  std::filesystem::path scratch = scratch_folder();
  std::string model = model_without_tokenizer();

  std::string file(const char* name, std::string_view content) {
    write_file(scratch / name, content);
    return (scratch / name).string();
  }
};

TEST_F(BadInput, IsOneClearErrorAndExit2) {
  const std::string rows = file("rows.jsonl", "{\"id\":\"a\",\"tokens\":[1,2],\"max_tokens\":2}\n");
  const std::string full = file("full.jsonl", "something\n");
  const std::string not_a_list = file("not_a_list.json", "{\"role\": \"user\"}");
  const std::string demo = std::string(CHORUS_SOURCE_DIR) + "/models/demo";
  std::filesystem::create_directories(scratch / "unknown_type");
  file("unknown_type/config.json", R"({"model_type": "telepathy"})");
  const std::string output = (scratch / "out.jsonl").string();
  const Case cases[] = {
      {"no command", {}, 2, {"subcommand is required", "chorus --help"}},
      {"unknown command", {"sing"}, 2, {"sing"}},
      {"unknown option",
       {"inspect", "--model", model, "--colour", "red"},
       2,
       {"--colour", "chorus inspect --help"}},
      {"no model given", {"inspect"}, 2, {"--model is required"}},
      {"model not found",
       {"inspect", "--model", "nobody/nothing"},
       2,
       {"model not found", "looked in", "nobody/nothing"}},
      {"model is a file", {"inspect", "--model", rows}, 2, {"must be a folder", "rows.jsonl"}},
      {"unknown architecture",
       {"logits", "--model", (scratch / "unknown_type").string(), "--tokens", "1", "--output", output},
       2,
       {"chorus: "}},
      {"not a number",
       {"batch", "--model", model, "--input", rows, "--output", output, "--temp", "warm"},
       2,
       {"--temp", "warm"}},
      {"sampling parameter out of range",
       {"batch", "--model", model, "--input", rows, "--output", output, "--top-p", "7"},
       2,
       {"top_p", "7"}},
      {"not a size",
       {"batch", "--model", model, "--input", rows, "--output", output, "--memory", "plenty"},
       2,
       {"20GB", "plenty"}},
      {"a budget below the weights",
       {"batch", "--model", model, "--input", rows, "--output", output, "--memory", "100kB"},
       2,
       {"memory budget", "100000"}},
      {"unknown device",
       {"batch", "--model", model, "--input", rows, "--output", output, "--device", "abacus"},
       2,
       {"unknown device", "abacus"}},
      {"input not there",
       {"batch", "--model", model, "--input", "/no/such.jsonl", "--output", output},
       2,
       {"cannot open file", "/no/such.jsonl"}},
      {"input without a prompt",
       {"batch", "--model", model, "--input", "/dev/null", "--output", output},
       2,
       {"holds no prompt"}},
      {"output folder not there",
       {"batch", "--model", model, "--input", rows, "--output", "/no/such/out.jsonl"},
       2,
       {"cannot write the output", "/no/such/out.jsonl", "reason"}},
      {"output on a full disk",
       {"batch", "--model", model, "--input", rows, "--output", "/dev/full"},
       2,
       {"cannot write the output", "No space left"}},
      {"output holds something",
       {"batch", "--model", model, "--input", rows, "--output", full},
       2,
       {"already holds results", "--resume", "--overwrite"}},
      {"resume without a manifest",
       {"batch", "--model", model, "--input", rows, "--output", full, "--resume"},
       2,
       {"cannot resume", "manifest"}},
      {"resume and overwrite",
       {"batch", "--model", model, "--input", rows, "--output", full, "--resume", "--overwrite"},
       2,
       {"--resume"}},
      {"resume on standard output",
       {"batch", "--model", model, "--input", rows, "--output", "-", "--resume"},
       2,
       {"need a file"}},
      {"messages not a list", {"template", "--model", demo, "--messages", not_a_list}, 2, {"not a JSON list"}},
      {"template arguments not JSON",
       {"template", "--model", demo, "--messages", not_a_list, "--kwargs", "effort"},
       2,
       {"--template-kwargs", "not valid JSON"}},
      {"no tokenizer", {"tokenize", "--model", model}, 2, {"tokenizer"}},
      {"token outside the vocabulary",
       {"logits", "--model", model, "--tokens", "1,5000", "--output", output},
       2,
       {"not in the vocabulary", "5000", "1024"}},
      {"unknown synthetic model",
       {"synth", "--config", "gpt-9", "--output", (scratch / "synth").string()},
       2,
       {"gpt-9", "known"}},
      {"no-cache with a temperature",
       {"generate", "--model", model, "--prompt", "x", "--no-cache", "--temp", "1"},
       2,
       {"--no-cache"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.why);
    const Ended run = run_chorus(c.arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << run.err;
    EXPECT_TRUE(run.err.starts_with("chorus: ")) << run.err;
    EXPECT_EQ(run.out, "");
    for (const char* word : c.words)
      EXPECT_NE(run.err.find(word), std::string::npos) << word << "\nin: " << run.err;
  }
  EXPECT_EQ(read_file(full), "something\n") << "nothing of it may be lost";
}

TEST_F(BadInput, ATemplateThatRaisesSaysItsWords) {
  std::filesystem::create_directories(scratch / "raises");
  file("raises/chat_template.jinja", "{{ raise_exception('roles must alternate') }}");
  const Ended run = run_chorus({"template", "--model", (scratch / "raises").string(), "--messages", "-"},
                               R"([{"role": "user", "content": "hi"}])");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("roles must alternate"), std::string::npos) << run.err;
}

TEST_F(BadInput, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(run_chorus({"--help"}).exit_code, 0);
  EXPECT_EQ(run_chorus({"--version"}).exit_code, 0);
  for (const char* command :
       {"batch", "generate", "template", "tokenize", "detokenize", "parse", "logits", "bench", "synth", "inspect"})
    EXPECT_EQ(run_chorus({command, "--help"}).exit_code, 0) << command;
}

}  // namespace
}  // namespace chorus::test
