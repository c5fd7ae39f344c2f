#include "chat/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "chorus/error.h"

namespace chorus::chat {
namespace {

// A model folder of the given files, removed at the end.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("chorus-chat-" + std::to_string(getpid()) + "-" + std::to_string(++count))) {
    std::filesystem::create_directories(path_ / "additional_chat_templates");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static inline int count = 0;
  std::filesystem::path path_;
};

const std::vector<Message> hello = {{.role = "user", .content = "hi"}};

std::string error_of(const ChatTemplates& templates, const TemplateOptions& options = {}) {
  try {
    return "no error: " + templates.render(hello, options);
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(ChatTemplates, TheFileWinsOverTheConfig) {
  const Folder folder;
  folder.write(
      "tokenizer_config.json",
      R"({"chat_template": "config", "bos_token": {"content": "<s>"}, "eos_token": "</s>", "x_token": null})");
  EXPECT_EQ(ChatTemplates::load(folder.path()).render(hello, {}), "config");
  folder.write("chat_template.jinja", "{{ bos_token }}file{{ eos_token }}{{ x_token is defined }}\n");
  EXPECT_EQ(ChatTemplates::load(folder.path()).render(hello, {}), "<s>file</s>False");
}

TEST(ChatTemplates, NamedTemplatesAreChosenAsTransformersDoes) {
  const Folder folder;
  folder.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]})");
  folder.write("additional_chat_templates/rag.jinja", "rag");
  const auto templates = ChatTemplates::load(folder.path());
  EXPECT_EQ(templates.render(hello, {}), "plain");
  EXPECT_EQ(templates.render(hello, {.tools = Json::array()}), "tools");
  EXPECT_EQ(templates.render(hello, {.template_name = "rag"}), "rag");
  EXPECT_EQ(error_of(templates, {.template_name = "no"}),
            "no chat template of that name\n  name: no\n  known: default, rag, tool_use");
  EXPECT_EQ(templates.source("rag"), "rag");
}

TEST(ChatTemplates, AFolderWithoutATemplateLoads) {
  const Folder folder;
  const auto templates = ChatTemplates::load(folder.path());
  EXPECT_FALSE(templates.has_template());
  EXPECT_NE(error_of(templates).find("the model folder has no chat template"), std::string::npos);
}

TEST(ChatTemplates, BrokenFoldersSayWhatIsWrong) {
  const Folder folder;
  folder.write("chat_template.jinja", "{% if %}");
  try {
    ChatTemplates::load(folder.path());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::template_);
    EXPECT_NE(std::string(e.what()).find("model folder: " + folder.path().string()), std::string::npos);
  }
  const Folder other;
  other.write("tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_THROW(ChatTemplates::load(other.path()), Error);
  other.write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_THROW(ChatTemplates::load(other.path()), Error);
  other.write("tokenizer_config.json", "[]");
  EXPECT_THROW(ChatTemplates::load(other.path()), Error);
}

TEST(ChatTemplates, VariablesOfARendering) {
  struct Row {
    const char *why, *source, *output;
    TemplateOptions options;
  };
  const Row rows[] = {
      {"messages", "{{ messages[0].role }}: {{ messages[0]['content'] }}", "user: hi", {}},
      {"tools is None, not undefined", "{{ tools is none }}{{ documents is none }}", "TrueTrue", {}},
      {"generation prompt", "{{ add_generation_prompt }}", "True", {}},
      {"no generation prompt", "{{ add_generation_prompt }}", "False", {.add_generation_prompt = false}},
      {"keyword arguments",
       "{{ reasoning_effort }}{{ x|tojson }}",
       "low[1]",
       {.kwargs = {{"reasoning_effort", "low"}, {"x", {1}}}}},
      {"they override everything",
       "{{ bos_token }}{{ add_generation_prompt }}",
       "B7",
       {.kwargs = {{"bos_token", "B"}, {"add_generation_prompt", 7}}}},
      {"the date", "{{ strftime_now('%d %b %Y') }}", "02 Aug 2026", {.date = "2026-08-02"}},
      {"date and time",
       "{{ strftime_now('%H:%M:%S %A %j') }}",
       "23:59:01 Saturday 060",
       {.date = "2020-02-29 23:59:01"}},
  };
  for (const Row& row : rows)
    EXPECT_EQ(ChatTemplates::from_source(row.source, {{"bos_token", "<s>"}}).render(hello, row.options),
              row.output)
        << row.why;
  for (const char* bad : {"2026-13-01", "2026-02-29", "today", "2026-1-1", "2026-01-01 24:00:00"})
    EXPECT_NE(error_of(ChatTemplates::from_source(""), {.date = bad}).find("not a date"), std::string::npos)
        << bad;
}

TEST(ChatTemplates, ExtraMembersOfAMessage) {
  const Json json = to_json(std::vector<Message>{
      {.role = "assistant", .content = nullptr, .extra = {{"tool_calls", Json::array({1})}, {"role", "tool"}}}});
  EXPECT_EQ(json.dump(), R"([{"role":"tool","content":null,"tool_calls":[1]}])");
}

}  // namespace
}  // namespace chorus::chat
