#include <gtest/gtest.h>

#include <random>

#include "chat/chat_template.h"
#include "chorus/error.h"
#include "goldens.h"
#include "harmony/message.h"
#include "tokenizer/tokenizer.h"

namespace chorus::harmony {
namespace {

std::optional<std::string> optional_text(const Json& object, const char* key) {
  return object.contains(key) ? std::optional(object[key].get<std::string>()) : std::nullopt;
}

ToolNamespace tools_from(const Json& json) {
  ToolNamespace tools = {json["name"], json["description"].is_null() ? "" : json["description"]};
  for (const Json& tool : json["tools"])
    tools.tools.push_back({tool["name"], tool["description"], tool.value("parameters", Json())});
  return tools;
}

std::string content_from(const Json& part, bool functions) {
  if (part["type"] == "system_content") {
    std::string effort = part["reasoning_effort"];
    effort[0] = char(std::tolower(effort[0]));
    return system_text({.model_identity = part["model_identity"],
                        .reasoning_effort = effort,
                        .knowledge_cutoff = part["knowledge_cutoff"],
                        .date = part["conversation_start_date"],
                        .channels = part["channel_config"]["valid_channels"],
                        .functions = functions});
  }
  if (part["type"] == "developer_content")
    return developer_text(
        {.instructions = part["instructions"], .tools = {tools_from(part["tools"]["functions"])}});
  return part["text"];
}

std::vector<Message> conversation_from(const Json& messages) {
  bool functions = false;
  for (const Json& m : messages) functions |= m["content"][0].contains("tools");
  std::vector<Message> conversation;
  for (const Json& m : messages)
    conversation.push_back({{.role = role_named(m["role"].get<std::string>()).value(),
                             .name = optional_text(m, "name"),
                             .recipient = optional_text(m, "recipient"),
                             .channel = optional_text(m, "channel"),
                             .content_type = optional_text(m, "content_type")},
                            content_from(m["content"][0], functions)});
  return conversation;
}

std::vector<Piece> pieces_of(const Json& row) {
  return render(conversation_from(row["messages"]), {.drop_past_analysis = row["auto_drop_analysis"],
                                                     .add_generation_prompt = row["op"] == "completion",
                                                     .end_with_return = row["op"] == "training"});
}

TEST(RenderGoldens, TextOfHarmony) {
  const std::vector<Json> rows = test::json_lines_of(test::golden("harmony/render_cases.jsonl"));
  for (const Json& row : rows)
    EXPECT_EQ(text_of(pieces_of(row)), row["text"].get<std::string>()) << row["name"] << " " << row["op"];
  EXPECT_EQ(rows.size(), 60u);
}

TEST(RenderGoldens, TokensOfHarmony) {
  const std::string vocabulary = "tokenizers/o200k_harmony";
  if (test::golden(vocabulary).empty()) GTEST_SKIP() << test::no_golden(vocabulary);
  const std::vector<Json> rows = test::json_lines_of(test::golden("harmony/render_cases.jsonl"));
  const auto tokenizer = tokenizer::Tokenizer::load(test::golden(vocabulary));
  for (const Json& row : rows) {
    SCOPED_TRACE(row["name"].get<std::string>() + " " + row["op"].get<std::string>());
    std::vector<int32_t> ids;
    for (const Piece& piece : pieces_of(row)) {
      const auto more =
          tokenizer->encode(piece.text, {.parse_special = piece.special, .add_special_tokens = false});
      ids.insert(ids.end(), more.begin(), more.end());
    }
    EXPECT_EQ(Json(ids), row["tokens"]);
  }
  EXPECT_EQ(rows.size(), 60u);
}

ChatOptions chat_options(const Json& kwargs) {
  ChatOptions options;
  options.add_generation_prompt = kwargs["add_generation_prompt"];
  options.system.date = "2026-01-15";
  options.system.reasoning_effort = kwargs.value("reasoning_effort", options.system.reasoning_effort);
  options.system.model_identity = kwargs.value("model_identity", options.system.model_identity);
  const Json builtin = kwargs.value("builtin_tools", Json::array());
  for (const Json& name : builtin)
    options.system.tools.push_back(name == "python" ? python_tool() : browser_tool());
  return options;
}

// The prompt or the word "error": what an error says is each one's own.
template <typename Render>
std::string rendered(const Render& render) {
  try {
    return render();
  } catch (const Error&) {
    return "error";
  }
}

const std::string gpt_oss = "templates/openai-gpt-oss-120b";

TEST(RenderGoldens, ChatsAsTheTemplateOfGptOss) {
  if (test::golden(gpt_oss).empty()) GTEST_SKIP() << test::no_golden(gpt_oss);
  const std::vector<Json> rows = test::json_lines_of(test::golden(gpt_oss + "/cases.jsonl"));
  for (const Json& row : rows) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const std::string ours =
        rendered([&] { return text_of(render_chat(row["messages"], row["tools"], chat_options(row["kwargs"]))); });
    EXPECT_EQ(ours, row.contains("output") ? row["output"].get<std::string>() : "error");
  }
  EXPECT_EQ(rows.size(), 75u);
}

class RandomChat {
 public:
  explicit RandomChat(unsigned seed) : random_(seed) {}

  Json messages() {
    Json list = Json::array();
    if (chance(3)) list.push_back({{"role", chance(2) ? "system" : "developer"}, {"content", text()}});
    for (int n = 1 + below(7); n > 0; --n) list.push_back(message());
    return list;
  }

  Json tools() {
    if (chance(2)) return nullptr;
    Json list = Json::array();
    for (int n = 1 + below(2); n > 0; --n) {
      Json function = {{"name", "f" + std::to_string(n)}, {"description", text()}};
      if (!chance(4)) function["parameters"] = object(2);
      list.push_back({{"type", "function"}, {"function", function}});
    }
    return list;
  }

  Json kwargs() {
    Json kwargs = {{"add_generation_prompt", !chance(3)}};
    if (chance(3)) kwargs["reasoning_effort"] = "high";
    if (chance(4))
      kwargs["builtin_tools"] = chance(2) ? Json::array({"browser", "python"}) : Json::array({"python"});
    return kwargs;
  }

 private:
  int below(int n) { return int(random_() % unsigned(n)); }
  bool chance(int n) { return below(n) == 0; }
  std::string text() {
    constexpr const char* texts[] = {"",      "a", "two\nlines", "\"quoted\" <|end|>", "na\u00efve \U0001f600 ",
                                     " {} \t"};
    return texts[below(6)];
  }

  Json message() {
    const int role = below(5);
    if (role == 0) return {{"role", "tool"}, {"content", chance(3) ? Json{{"t", 1.5}} : Json(text())}};
    if (role < 3) return {{"role", "user"}, {"content", text()}};
    Json message = {{"role", "assistant"}};
    if (role == 3) {
      message["content"] = text();
      if (chance(2)) message["thinking"] = text();
      return message;
    }
    if (chance(3))
      message["content"] = text();
    else if (chance(2))
      message["thinking"] = text();
    Json call = {{"name", "f"}, {"arguments", chance(2) ? Json{{"x", {1, 2.0, nullptr, text()}}} : Json(text())}};
    if (chance(4)) call["content_type"] = "<|constrain|>json";
    message["tool_calls"] = {chance(2) ? Json{{"function", call}} : call};
    return message;
  }

  Json object(int depth) {
    Json properties = Json::object(), required = Json::array();
    for (int n = below(4); n > 0; --n) {
      const std::string name = "p" + std::to_string(n);
      properties[name] = spec(depth);
      if (chance(2)) required.push_back(name);
    }
    Json schema = {{"type", "object"}, {"properties", properties}};
    if (chance(2)) schema["required"] = required;
    return schema;
  }

  Json spec(int depth) {
    Json spec = kind(depth);
    if (chance(2)) spec["description"] = text();
    if (chance(4)) spec["nullable"] = true;
    return spec;
  }

  Json kind(int depth) {
    switch (below(depth > 0 ? 10 : 6)) {
      case 0:
        return {{"type", "string"}};
      case 1:
        return {{"type", "string"}, {"enum", {"a", "b"}}, {"default", "a"}};
      case 2:
        return {{"type", "integer"}, {"default", below(3) - 1}};
      case 3:
        return {{"type", "number"}, {"default", 0.5}};
      case 4:
        return {{"type", {"string", "null"}}};
      case 5:
        return {{"type", "boolean"}};
      case 6:
        return {{"type", "array"}, {"items", spec(depth - 1)}};
      case 7:
        return {{"type", "array"}};
      case 8:
        return {{"oneOf", {spec(depth - 1), spec(depth - 1)}}};
      default:
        return object(depth - 1);
    }
  }

  std::mt19937 random_;
};

TEST(RenderChat, EqualsTheTemplateOnRandomChats) {
  if (test::golden(gpt_oss).empty()) GTEST_SKIP() << test::no_golden(gpt_oss);
  const auto templates = chat::ChatTemplates::load(test::golden(gpt_oss));
  size_t prompts = 0;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    RandomChat chat(seed);
    const Json messages = chat.messages(), tools = chat.tools(), kwargs = chat.kwargs();
    const std::string expected = rendered([&] {
      return templates.render(messages, {.add_generation_prompt = kwargs["add_generation_prompt"],
                                         .tools = tools,
                                         .kwargs = kwargs,
                                         .date = "2026-01-15"});
    });
    const std::string ours = rendered([&] { return text_of(render_chat(messages, tools, chat_options(kwargs))); });
    ASSERT_EQ(ours, expected) << "seed " << seed << " " << messages << " " << tools;
    prompts += expected != "error";
  }
  EXPECT_GT(prompts, 1000u) << "too many of the chats are refused";
}

}  // namespace
}  // namespace chorus::harmony
