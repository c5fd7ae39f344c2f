#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/parts.h"

namespace chorus::tokenizer {
namespace {

constexpr size_t max_file_bytes = size_t(1) << 30;  // offsets into tables are 32 bits

Error as_model_error(const Error& e, std::string_view file) {
  Error error(Fault::model, e.problem());
  for (const auto& [name, value] : e.facts()) error.with(name, value);
  return error.with("file", file);
}

std::string read_limited(const std::filesystem::path& file) {
  std::string text = read_file(file);
  if (text.size() > max_file_bytes) {
    throw Error(Fault::model, "the file is too large for a tokenizer")
        .with("file", file.string())
        .with("bytes", text.size())
        .with("limit", max_file_bytes);
  }
  return text;
}

// "added_tokens_decoder": {"id": {"content": ..., "special": ...}}.
void add_from_decoder(const ConfigNode& node, Tokenizer::Parts& parts) {
  if (!node.value().is_object()) throw node.invalid("an object");
  for (const auto& [key, value] : node.value().items()) {
    const ConfigNode entry = node.child(key);
    if (key.empty() || key.size() > 7 || key.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(key) > max_token_id)
      throw entry.invalid("as key a token id of at most " + std::to_string(max_token_id));
    AddedToken token = added_token_of(entry, std::stoi(key));
    const int32_t known = parts.vocabulary.find(token.content);
    if (known >= 0) token.id = known;
    parts.added.add(std::move(token));
  }
}

// The token under "bos_token" and the like, as a string or as an object with "content", is special.
void mark_special(const ConfigNode& node, Tokenizer::Parts& parts) {
  std::string content;
  if (node.value().is_string())
    content = node.value().get<std::string>();
  else if (node.value().is_object() && node.has("content"))
    content = node.string("content");
  if (content.empty() || parts.added.make_special(content)) return;
  const int32_t id = parts.vocabulary.find(content);
  if (id >= 0) parts.added.add({.content = content, .id = id, .special = true});
}

// A tokenizer.model does not say whether BOS and EOS are added; tokenizer_config.json does. BOS is unless it says
// no.
void set_bos_eos(const std::filesystem::path& file, Tokenizer::Parts& parts) {
  if (!std::filesystem::exists(file)) return;
  const Json config = read_json(file);
  const ConfigNode node(config, file.filename().string());
  try {
    if (!node.boolean_or("add_bos_token", true)) parts.post_processor.before.clear();
    if (!node.boolean_or("add_eos_token", false) || !node.has("eos_token")) return;
    const ConfigNode eos = node.child("eos_token");
    const std::string token = eos.value().is_object() ? eos.string("content") : node.string("eos_token");
    if (parts.vocabulary.find(token) >= 0) parts.post_processor.after = {parts.vocabulary.find(token)};
  } catch (const Error& e) {
    throw as_model_error(e, file.string());
  }
}

void add_from_config(const std::filesystem::path& file, Tokenizer::Parts& parts) {
  if (!std::filesystem::exists(file)) return;
  const Json config = read_json(file);
  const ConfigNode node(config, file.filename().string());
  try {
    if (node.has("added_tokens_decoder")) add_from_decoder(node.child("added_tokens_decoder"), parts);
    for (const char* key :
         {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"})
      if (node.has(key)) mark_special(node.child(key), parts);
    const char* more = "additional_special_tokens";
    if (node.has(more) && node.child(more).value().is_array())
      for (const ConfigNode& token : node.list(more)) mark_special(token, parts);
  } catch (const Error& e) {
    throw as_model_error(e, file.string());
  }
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
  auto parts = std::make_unique<Parts>();
  const bool has_json = std::filesystem::exists(folder / "tokenizer.json");
  const std::filesystem::path file = folder / (has_json ? "tokenizer.json" : "tokenizer.model");
  if (!has_json && !std::filesystem::exists(file)) {
    throw Error(Fault::model, "the model folder has no tokenizer")
        .with("folder", folder.string())
        .with("expected", "tokenizer.json or tokenizer.model");
  }
  try {
    const std::string text = read_limited(file);
    if (has_json)
      load_tokenizer_json(text, *parts);
    else
      load_sentencepiece(text, *parts);
  } catch (const Error& e) {
    if (e.fault() == Fault::io) throw;
    throw as_model_error(e, file.string());
  }
  add_from_config(folder / "tokenizer_config.json", *parts);
  if (!has_json) set_bos_eos(folder / "tokenizer_config.json", *parts);
  add_from_config(folder / "special_tokens_map.json", *parts);
  parts->added.build(parts->normalizers);
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(parts)));
}

std::shared_ptr<const Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json, std::string_view source) {
  auto parts = std::make_unique<Parts>();
  try {
    load_tokenizer_json(tokenizer_json, *parts);
  } catch (const Error& e) {
    throw as_model_error(e, source);
  }
  parts->added.build(parts->normalizers);
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(parts)));
}

TokenIds Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::string replaced;
  if (!is_utf8(text)) text = replaced = replace_invalid_utf8(text);
  TokenIds ids;
  if (options.add_special_tokens) ids = parts_->post_processor.before;
  ids.reserve(ids.size() + text.size() / 4 + 8);
  Pieces pieces;
  const auto encode_stretch = [&](std::string_view stretch, bool starts_input) {
    pieces.text.assign(stretch);
    pieces.spans.assign(1, {0, stretch.size()});
    pieces.starts_input = starts_input;
    for (const auto& step : parts_->pre_tokenizers) step->apply(pieces);
    for (const Match& span : pieces.spans) parts_->model->encode(pieces.view(span), ids);
  };
  parts_->added.split(text, false, options.parse_special, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) return ids.push_back(id);
    std::string normalized(text.substr(begin, end - begin));
    for (const auto& step : parts_->normalizers) normalized = step->apply(std::move(normalized));
    parts_->added.split(normalized, true, options.parse_special, [&](size_t from, size_t to, int32_t inner_id) {
      if (inner_id >= 0) return ids.push_back(inner_id);
      encode_stretch(std::string_view(normalized).substr(from, to - from), begin == 0 && from == 0);
    });
  });
  if (options.add_special_tokens)
    ids.insert(ids.end(), parts_->post_processor.after.begin(), parts_->post_processor.after.end());
  return ids;
}

std::vector<TokenIds> Tokenizer::encode_batch(std::span<const std::string> texts, ThreadPool& threads,
                                              EncodeOptions options) const {
  std::vector<TokenIds> batch(texts.size());
  threads.for_each(int64_t(texts.size()),
                   [&](int64_t i) { batch[size_t(i)] = encode(texts[size_t(i)], options); });
  return batch;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  const std::unique_ptr<DecodeStream> stream = parts_->decoder->start();
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    const std::string_view token = parts_->text(id);
    if (token.data() != nullptr) stream->add(token);
  }
  stream->finish();
  return stream->take();
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = parts_->added.of_content(token)) return added->id;
  const int32_t id = parts_->vocabulary.find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::string_view Tokenizer::id_to_token(int32_t id) const {
  const AddedToken* added = parts_->added.of_id(id);
  return added != nullptr ? std::string_view(added->content) : parts_->vocabulary.token(id);
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = parts_->added.of_id(id);
  return token != nullptr && token->special;
}

int32_t Tokenizer::vocab_size() const {
  return std::max(parts_->vocabulary.id_limit(), parts_->added.id_limit());
}

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)),
      skip_special_(skip_special),
      stream_(tokenizer_->parts_->decoder->start()) {}
Detokenizer::Detokenizer(Detokenizer&&) noexcept = default;
Detokenizer& Detokenizer::operator=(Detokenizer&&) noexcept = default;
Detokenizer::~Detokenizer() = default;

std::string Detokenizer::add(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  const std::string_view token = tokenizer_->parts_->text(id);
  if (token.data() == nullptr) return {};
  stream_->add(token);
  return stream_->take();
}

std::string Detokenizer::finish() {
  stream_->finish();
  return stream_->take();
}

}  // namespace chorus::tokenizer
