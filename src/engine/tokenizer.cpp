#include "chorus/tokenizer.h"

#include "chorus/error.h"
#include "engine/answer.h"
#include "engine/tokenizer_state.h"
#include "weights/find_model.h"

namespace chorus {

Tokenizer Tokenizer::load(std::string_view model) {
  const std::filesystem::path folder = find_model(model);
  auto state = std::make_shared<State>(State{.tokenizer = tokenizer::Tokenizer::load(folder),
                                             .templates = chat::ChatTemplates::load(folder),
                                             .answer_format = {}});
  state->answer_format = engine::answer_format(state->templates, state->tokenizer.get());
  return Tokenizer(std::move(state));
}

TokenIds Tokenizer::encode(std::string_view text, bool parse_special) const {
  return state_->tokenizer->encode(text, {.parse_special = parse_special, .add_special_tokens = false});
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return state_->tokenizer->decode(ids, skip_special_tokens);
}

std::string Tokenizer::render_chat_template(std::span<const Message> messages, const TemplateOptions& options) const {
  return state_->templates.render(messages, options);
}

std::string Tokenizer::render_chat_template(const Json& messages, const TemplateOptions& options) const {
  return state_->templates.render(messages, options);
}

TokenIds Tokenizer::apply_chat_template(std::span<const Message> messages, const TemplateOptions& options) const {
  return encode(render_chat_template(messages, options));
}

bool Tokenizer::has_chat_template() const { return state_->templates.has_template(); }

}  // namespace chorus
