// gpt-oss' chat template in words of our own: OpenAI's messages into harmony's.
#include <algorithm>

#include "chorus/error.h"
#include "harmony/message.h"
#include "harmony/python_json.h"

namespace chorus::harmony {
namespace {

[[noreturn]] void refuse(const char* problem, size_t message) {
  throw Error(Fault::input, problem).with("message", message);
}

bool is_text(const Json& message, const char* field) {
  const auto it = message.find(field);
  return it != message.end() && it->is_string() && !it->get_ref<const std::string&>().empty();
}

std::string role_of(const Json& message) {
  const auto it = message.is_object() ? message.find("role") : message.end();
  return it != message.end() && it->is_string() ? it->get<std::string>() : "";
}

bool is_answer(const Json& message) {
  return role_of(message) == "assistant" && !message.contains("tool_calls");
}

class Chat {
 public:
  Chat(const Json& messages, bool add_generation_prompt)
      : messages_(messages), add_generation_prompt_(add_generation_prompt) {}

  std::vector<Message> out;

  void add(size_t at) {
    const std::string role = role_of(messages_[at]);
    if (role == "user") {
      out.push_back({{.role = Role::user}, text(at, "content")});
    } else if (role == "tool") {
      add_tool_result(at);
    } else if (role == "assistant") {
      for (const char* field : {"content", "thinking"}) check_channels(at, field);
      messages_[at].contains("tool_calls") ? add_tool_call(at) : add_answer(at);
    }
  }

 private:
  std::string text(size_t at, const char* field) const {
    const auto it = messages_[at].find(field);
    if (it == messages_[at].end() || !it->is_string())
      throw Error(Fault::input, "a message's content must be a string").with("message", at).with("field", field);
    return it->get<std::string>();
  }

  void check_channels(size_t at, const char* field) const {
    if (!messages_[at].contains(field)) return;
    const std::string content = text(at, field);
    for (const char* channel : {"<|channel|>analysis<|message|>", "<|channel|>final<|message|>"})
      if (content.find(channel) != content.npos)
        refuse("<|channel|> tags in a message; analysis belongs into \"thinking\", final into \"content\"", at);
  }

  void analysis(std::string content) {
    out.push_back({{.role = Role::assistant, .channel = "analysis"}, std::move(content)});
  }

  // One call per message; what led to it is shown until the final answer is there.
  void add_tool_call(size_t at) {
    const Json& message = messages_[at];
    const Json& calls = message["tool_calls"];
    if (!calls.is_array() || calls.empty() || !calls[0].is_object())
      refuse("tool_calls is not a list of calls", at);
    const bool wrapped = calls[0].contains("function") && calls[0]["function"].is_object();
    const Json& call = wrapped ? calls[0]["function"] : calls[0];
    if (!call.contains("name") || !call["name"].is_string() || !call.contains("arguments"))
      refuse("a tool call lacks its name or its arguments", at);

    if (is_text(message, "content") && is_text(message, "thinking"))
      refuse("a message with tool_calls has both content and thinking", at);
    if (std::none_of(messages_.begin() + int64_t(at) + 1, messages_.end(), is_answer))
      for (const char* field : {"content", "thinking"})
        if (is_text(message, field)) analysis(text(at, field));

    called_ = "functions." + call["name"].get<std::string>();
    const auto type = call.find("content_type");
    out.push_back({{.role = Role::assistant,
                    .recipient = called_,
                    .channel = "commentary",
                    .content_type = type != call.end() && type->is_string() ? type->get<std::string>() : "json"},
                   python_json(call["arguments"])});
  }

  void add_tool_result(size_t at) {
    if (!called_) refuse("a tool's message without a call before it", at);
    const auto content = messages_[at].find("content");
    if (content == messages_[at].end()) refuse("a tool's message without content", at);
    out.push_back({{.role = Role::tool, .name = called_, .recipient = "assistant", .channel = "commentary"},
                   python_json(*content)});
  }

  void add_answer(size_t at) {
    const bool is_trained_on = at + 1 == messages_.size() && !add_generation_prompt_;
    if (is_trained_on && messages_[at].contains("thinking")) analysis(text(at, "thinking"));
    out.push_back({{.role = Role::assistant, .channel = "final"}, text(at, "content")});
    if (!is_trained_on) called_.reset();
  }

  const Json& messages_;
  bool add_generation_prompt_;
  std::optional<std::string> called_;  // the tool that answers next
};

ToolNamespace functions(const Json& tools) {
  ToolNamespace functions = {"functions", ""};
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json& tool = tools[i];
    if (!tool.is_object() || !tool.contains("function") || !tool["function"].is_object() ||
        !tool["function"].value("name", Json()).is_string() ||
        !tool["function"].value("description", Json()).is_string())
      throw Error(Fault::input, "a tool lacks \"function\" with a name and a description").with("tool", i);
    const Json& function = tool["function"];
    functions.tools.push_back({function["name"], function["description"], function.value("parameters", Json())});
  }
  return functions;
}

}  // namespace

std::vector<Piece> render_chat(const Json& messages, const Json& tools, const ChatOptions& options) {
  if (!messages.is_array() || messages.empty())
    throw Error(Fault::input, "the messages are not a list, or it is empty");
  const bool has_tools = tools.is_array() && !tools.empty();
  Chat chat(messages, options.add_generation_prompt);

  System system = options.system;
  system.functions = has_tools;
  chat.out.push_back({{.role = Role::system}, system_text(system)});

  Developer developer{.style = Style::template_};
  const std::string first_role = role_of(messages[0]);
  const bool has_developer = first_role == "developer" || first_role == "system";
  if (has_developer && !messages[0].value("content", Json()).is_null()) {
    if (!messages[0]["content"].is_string()) refuse("a message's content must be a string", 0);
    developer.instructions = messages[0]["content"];
  }
  if (has_tools) developer.tools.push_back(functions(tools));
  if (!developer.instructions.empty() || has_tools)
    chat.out.push_back({{.role = Role::developer}, developer_text(developer)});

  for (size_t i = has_developer ? 1 : 0; i < messages.size(); ++i) chat.add(i);
  return render(chat.out, {.drop_past_analysis = false,
                           .add_generation_prompt = options.add_generation_prompt,
                           .end_with_return = !options.add_generation_prompt && is_answer(messages.back())});
}

}  // namespace chorus::harmony
