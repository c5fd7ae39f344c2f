#include "chat/chat_template.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "chat/template.h"
#include "chorus/error.h"

namespace chorus::chat {
namespace {

namespace fs = std::filesystem;

Json read_if_there(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  Json json = read_json(file);
  if (!json.is_object())
    throw Error(Fault::model, "the file does not hold a JSON object").with("file", file.string());
  return json;
}

// A special token is a string or an object with the string as "content".
void add_special_tokens(Json& tokens, const Json& config) {
  for (const auto& [name, value] : config.items()) {
    if (!name.ends_with("_token")) continue;
    if (value.is_string())
      tokens[name] = value;
    else if (value.is_object() && value.contains("content") && value["content"].is_string())
      tokens[name] = value["content"];
  }
}

void add_named_templates(std::map<std::string, std::string>& sources, const Json& named, const fs::path& file) {
  for (const Json& entry : named) {
    if (!entry.is_object() || !entry.value("name", Json()).is_string() ||
        !entry.value("template", Json()).is_string())
      throw Error(Fault::model,
                  "\"chat_template\" must be a string or a list of objects with \"name\" and \"template\"")
          .with("file", file.string());
    sources[entry["name"].get<std::string>()] = entry["template"].get<std::string>();
  }
}

std::map<std::string, std::string> find_sources(const fs::path& folder, const Json& config) {
  std::map<std::string, std::string> sources;
  const fs::path config_file = folder / "tokenizer_config.json";
  if (const auto it = config.find("chat_template"); it != config.end() && !it->is_null()) {
    if (it->is_string())
      sources["default"] = it->get<std::string>();
    else if (it->is_array())
      add_named_templates(sources, *it, config_file);
    else
      throw Error(Fault::model, "\"chat_template\" must be a string or a list").with("file", config_file.string());
  }
  if (fs::exists(folder / "chat_template.jinja")) {
    sources.clear();
    sources["default"] = read_file(folder / "chat_template.jinja");
  }
  const fs::path more = folder / "additional_chat_templates";
  if (fs::is_directory(more))
    for (const auto& entry : fs::directory_iterator(more))
      if (entry.path().extension() == ".jinja") sources[entry.path().stem().string()] = read_file(entry.path());
  return sources;
}

}  // namespace

Json to_json(std::span<const Message> messages) {
  Json list = Json::array();
  for (const Message& message : messages) {
    Json object = {{"role", message.role}, {"content", message.content}};
    if (!message.extra.is_object() && !message.extra.is_null())
      throw Error(Fault::input, "a message's extra members must be an object").with("role", message.role);
    for (const auto& [name, value] : message.extra.items()) object[name] = value;
    list.push_back(std::move(object));
  }
  return list;
}

ChatTemplates ChatTemplates::load(const fs::path& folder) {
  ChatTemplates result;
  result.folder_ = folder.string();
  const Json config = read_if_there(folder / "tokenizer_config.json");
  add_special_tokens(result.special_tokens_, read_if_there(folder / "special_tokens_map.json"));
  add_special_tokens(result.special_tokens_, config);
  for (auto& [name, source] : find_sources(folder, config)) {
    try {
      result.templates_[name] = std::make_shared<jinja::Template>(std::move(source), name);
    } catch (Error& error) {
      throw error.with("model folder", result.folder_);
    }
  }
  return result;
}

ChatTemplates ChatTemplates::from_source(std::string_view source, Json special_tokens) {
  ChatTemplates result;
  result.special_tokens_ = std::move(special_tokens);
  result.templates_["default"] = std::make_shared<jinja::Template>(std::string(source), "default");
  return result;
}

std::vector<std::string> ChatTemplates::names() const {
  std::vector<std::string> names;
  for (const auto& [name, parsed] : templates_) names.push_back(name);
  return names;
}

const jinja::Template& ChatTemplates::find(std::string_view name) const {
  if (templates_.empty())
    throw Error(Fault::template_, "the model folder has no chat template")
        .with("model folder", folder_)
        .with("looked for", "chat_template.jinja, \"chat_template\" in tokenizer_config.json");
  const auto it = templates_.find(name);
  if (it != templates_.end()) return *it->second;
  std::string known;
  for (const std::string& other : names()) known += (known.empty() ? "" : ", ") + other;
  throw Error(Fault::template_, "no chat template of that name").with("name", name).with("known", known);
}

const jinja::Template& ChatTemplates::choose(const TemplateOptions& options) const {
  if (!options.template_name.empty()) return find(options.template_name);
  if (!options.tools.is_null() && templates_.count("tool_use") != 0) return find("tool_use");
  return find("default");
}

const std::string& ChatTemplates::source(std::string_view name) const {
  return find(name).source();
}

std::string ChatTemplates::render(const Json& messages, const TemplateOptions& options) const {
  const jinja::Template& chosen = choose(options);
  const Json none = nullptr, add_generation_prompt = options.add_generation_prompt;
  std::vector<std::pair<std::string_view, const Json*>> variables;
  variables.reserve(special_tokens_.size() + options.kwargs.size() + 4);
  for (const auto& [name, value] : special_tokens_.items()) variables.emplace_back(name, &value);
  variables.emplace_back("messages", &messages);
  variables.emplace_back("tools", &options.tools);
  variables.emplace_back("documents", &none);
  variables.emplace_back("add_generation_prompt", &add_generation_prompt);
  if (!options.kwargs.is_object() && !options.kwargs.is_null())
    throw Error(Fault::usage, "template arguments must be a JSON object");
  if (options.kwargs.is_object())
    for (const auto& [name, value] : options.kwargs.get_ref<const Json::object_t&>())
      variables.emplace_back(name, &value);
  if (options.date.empty()) return chosen.render(variables, nullptr);
  const jinja::LocalTime now = jinja::LocalTime::parse(options.date);
  return chosen.render(variables, &now);
}

}  // namespace chorus::chat
