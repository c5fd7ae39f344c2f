#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "engine/row.h"

namespace chorus::engine {
namespace {

namespace fs = std::filesystem;

// A folder whose template expects <tool_call> tags, with the demo model's tokenizer less a mark of harmony.
Tokenizer tagging_tokenizer() {
  const fs::path folder = fs::path(testing::TempDir()) / ("chorus_tool_types_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string json = read_file(fs::path(CHORUS_SOURCE_DIR) / "models/demo/tokenizer.json");
  const std::string channel = "<|channel|>", other = "<|another|>";
  for (size_t at; (at = json.find(channel)) != json.npos;) json.replace(at, channel.size(), other);
  write_file(folder / "tokenizer.json", json);
  write_file(folder / "tokenizer_config.json", R"({"chat_template": "{{ messages[0].content }}<tool_call>"})");
  Tokenizer tokenizer = Tokenizer::load(folder.string());
  fs::remove_all(folder);
  return tokenizer;
}

std::string arguments_of(const Tokenizer& tokenizer, const Json& tools) {
  Row row(Request{.prompt = tokenizer.encode("What is at 0123?"), .tools = tools}, &tokenizer.state());
  for (const int32_t id : tokenizer.encode(
           "<tool_call>\n<function=f>\n<parameter=code>\n123\n</parameter>\n</function>\n</tool_call>"))
    row.take(id, 0, /*is_eos=*/false, /*last=*/false);
  row.finish(FinishReason::stop);
  const Json calls = row.release().tool_calls;
  return calls.size() == 1 ? calls[0]["function"]["arguments"].get<std::string>() : "calls: " + calls.dump();
}

TEST(ToolTypes, ARequestsToolsTypeItsCalls) {
  const Tokenizer tokenizer = tagging_tokenizer();
  const Json tools = Json::parse(
      R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {"code": {"type": "string"}}}}}])");
  EXPECT_EQ(arguments_of(tokenizer, tools), R"({"code": "123"})");
  EXPECT_EQ(arguments_of(tokenizer, nullptr), R"({"code": 123})") << "by its looks";
}

}  // namespace
}  // namespace chorus::engine
