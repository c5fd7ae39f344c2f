#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <functional>

#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

// Longer ones are no tokens that a model was trained on, and would make the search slow.
constexpr size_t max_content_bytes = 8192;

size_t pair_of(std::string_view text, size_t at) {
  return size_t(static_cast<unsigned char>(text[at])) << 8 | static_cast<unsigned char>(text[at + 1]);
}

}  // namespace

AddedToken added_token_of(const ConfigNode& node, int32_t id) {
  AddedToken token{.content = node.string("content"), .id = id};
  if (token.content.size() > max_content_bytes)
    throw node.child("content").invalid("at most " + std::to_string(max_content_bytes) + " bytes");
  token.special = node.boolean_or("special", false);
  token.normalized = node.boolean_or("normalized", !token.special);
  token.single_word = node.boolean_or("single_word", false);
  token.lstrip = node.boolean_or("lstrip", false);
  token.rstrip = node.boolean_or("rstrip", false);
  return token;
}

void AddedTokens::add(AddedToken token) {
  if (token.content.empty() || of_content(token.content) != nullptr || of_id(token.id) != nullptr) return;
  if (index_of_id_.size() <= size_t(token.id)) index_of_id_.resize(size_t(token.id) + 1, -1);
  index_of_id_[size_t(token.id)] = int32_t(tokens_.size());
  index_of_content_.insert(token.content, int32_t(tokens_.size()));
  tokens_.push_back(std::move(token));
}

bool AddedTokens::make_special(std::string_view content) {
  const int32_t index = index_of_content_.find(content);
  if (index >= 0) tokens_[size_t(index)].special = tokens_[size_t(index)].searched = true;
  return index >= 0;
}

void AddedTokens::build(const std::vector<std::unique_ptr<Normalizer>>& normalizers) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    token.text = token.content;
    if (token.normalized)
      for (const auto& step : normalizers) token.text = step->apply(std::move(token.text));
    if (token.searched && !token.text.empty()) (token.normalized ? normalized_ : raw_).add(token.text, i);
  }
}

const AddedToken* AddedTokens::of_id(int32_t id) const {
  if (id < 0 || size_t(id) >= index_of_id_.size() || index_of_id_[size_t(id)] < 0) return nullptr;
  return &tokens_[size_t(index_of_id_[size_t(id)])];
}

const AddedToken* AddedTokens::of_content(std::string_view content) const {
  const int32_t index = index_of_content_.find(content);
  return index < 0 ? nullptr : &tokens_[size_t(index)];
}

void AddedTokens::Finder::add(std::string_view text, size_t index) {
  if (indices_.find(text) >= 0) return;
  indices_.insert(text, int32_t(index));
  if (text.size() == 1)
    single_.set(static_cast<unsigned char>(text[0]));
  else
    pairs_.set(pair_of(text, 0));
  const auto place = std::lower_bound(sizes_.begin(), sizes_.end(), text.size(), std::greater<>());
  if (place == sizes_.end() || *place != text.size()) sizes_.insert(place, text.size());
}

bool AddedTokens::Finder::find(std::string_view text, size_t& at, size_t& end, size_t& index) const {
  for (; at < text.size(); ++at) {
    const bool pair = at + 1 < text.size() && pairs_[pair_of(text, at)];
    if (!pair && !single_[static_cast<unsigned char>(text[at])]) continue;
    for (const size_t size : sizes_) {
      if (size > text.size() - at) continue;
      const int32_t found = indices_.find(text.substr(at, size));
      if (found < 0) continue;
      index = size_t(found);
      end = at + size;
      return true;
    }
  }
  return false;
}

void AddedTokens::split(std::string_view text, bool normalized, bool parse_special,
                        FunctionRef<void(size_t, size_t, int32_t)> each) const {
  const Finder& finder = normalized ? normalized_ : raw_;
  size_t done = 0;
  if (!finder.empty()) {
    for (size_t at = 0, end = 0, index = 0; finder.find(text, at, end, index); at = end) {
      const AddedToken& token = tokens_[index];
      if (token.special && !parse_special) continue;
      if (token.single_word && ((at > 0 && is_word(char_at(text, char_before(text, at)).value)) ||
                                (end < text.size() && is_word(char_at(text, end).value))))
        continue;
      size_t from = at, to = end;
      if (token.lstrip) {
        from = std::max(from, done);  // an rstrip may have taken all of it already
        while (from > done && is_white_space(char_at(text, char_before(text, from)).value))
          from = char_before(text, from);
      }
      if (token.rstrip)
        while (to < text.size() && is_white_space(char_at(text, to).value)) to += char_at(text, to).size;
      if (from > done) each(done, from, -1);
      if (from < to) each(from, to, token.id);
      done = to;
    }
  }
  if (done < text.size()) each(done, text.size(), -1);
}

}  // namespace chorus::tokenizer
