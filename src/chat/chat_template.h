#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/chat.h"
#include "chorus/json.h"

namespace chorus::jinja {
class Template;
}

namespace chorus::chat {

/// The messages as the list of objects that templates take.
Json to_json(std::span<const Message> messages);

/// All that a model folder says about its chat templates, parsed once. Immutable: any number of threads may
/// render.
class ChatTemplates {
 public:
  /// chat_template.jinja wins over the "chat_template" of tokenizer_config.json (a string, or a list of named
  /// templates); additional_chat_templates/NAME.jinja add named ones. Special tokens (bos_token, ...) come from
  /// tokenizer_config.json and special_tokens_map.json. A folder without a template loads: render() then throws.
  /// Throws Fault::model, or Fault::template_ with line and column for a template that is not valid.
  static ChatTemplates load(const std::filesystem::path& folder);

  /// One template from its text, for tools and tests; `special_tokens` is an object of strings.
  static ChatTemplates from_source(std::string_view source, Json special_tokens = Json::object());

  /// The prompt: byte for byte what transformers' apply_chat_template(tokenize=False) returns.
  /// Throws Fault::template_ with line and column, and the template's own words where it raised.
  std::string render(const Json& messages, const TemplateOptions& options) const;
  std::string render(std::span<const Message> messages, const TemplateOptions& options) const {
    return render(to_json(messages), options);
  }

  bool has_template() const { return !templates_.empty(); }
  std::vector<std::string> names() const;
  /// The template's text. Throws Fault::template_ naming those that exist.
  const std::string& source(std::string_view name = "default") const;
  /// bos_token, eos_token, ... as strings, in the order of the files.
  const Json& special_tokens() const { return special_tokens_; }

 private:
  const jinja::Template& choose(const TemplateOptions& options) const;
  const jinja::Template& find(std::string_view name) const;

  std::string folder_;
  std::map<std::string, std::shared_ptr<const jinja::Template>, std::less<>> templates_;
  Json special_tokens_ = Json::object();
};

}  // namespace chorus::chat
