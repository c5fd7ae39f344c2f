#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/chat.h"

namespace chorus {

using TokenIds = std::vector<int32_t>;

/// The tokenizer and the chat templates of a model folder. Immutable, cheap to copy, safe to use from any thread.
class Tokenizer {
 public:
  struct State;

  /// Reads the tokenizer's files only, no weights. Throws Fault::usage (not found), model or template_.
  static Tokenizer load(std::string_view model);
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  /// `parse_special`: special tokens written in the text become their ids.
  TokenIds encode(std::string_view text, bool parse_special = true) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  /// The prompt text that the model's chat template makes of a conversation. Throws Fault::template_.
  std::string render_chat_template(std::span<const Message> messages, const TemplateOptions& options = {}) const;
  std::string render_chat_template(const Json& messages, const TemplateOptions& options = {}) const;
  /// The same as token ids.
  TokenIds apply_chat_template(std::span<const Message> messages, const TemplateOptions& options = {}) const;
  TokenIds apply_chat_template(std::initializer_list<Message> messages, const TemplateOptions& options = {}) const {
    return apply_chat_template(std::span<const Message>(messages.begin(), messages.size()), options);
  }

  bool has_chat_template() const;
  const State& state() const { return *state_; }

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace chorus
