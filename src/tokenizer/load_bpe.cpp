#include <algorithm>

#include "tokenizer/bpe.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_reader.h"

namespace chorus::tokenizer {
namespace {

constexpr size_t max_merges = size_t(1) << 24;

Error merge_error(std::string_view problem, size_t rank) {
  return Error(Fault::model, std::string(problem)).with("part", "model.merges[" + std::to_string(rank) + "]");
}

// Resolves merges, given as ["a", "b"] or "a b", to ids; a batch at a time, because each needs three places of a
// table that no cache holds.
class MergeReader {
 public:
  MergeReader(const Vocabulary& vocabulary, std::string_view prefix) : ids_(vocabulary.ids()), prefix_(prefix) {}

  MergeTable read(std::string_view json) {
    if (json.empty()) return {};
    table_.reserve(std::min(json.size() / 24, max_merges));
    JsonReader reader(json);
    reader.array([&] {
      read_merge(reader);
      if (batch_.size() == batch_size) resolve();
    });
    reader.end();
    resolve();
    return std::move(table_);
  }

 private:
  static constexpr size_t batch_size = 64;
  enum { left, right, merged };
  struct Merge {
    size_t begin[3], end[3];  // of the three tokens in text_
    uint64_t hash[3];
    int32_t id[3];
  };

  void read_merge(JsonReader& reader) {
    if (rank_ + batch_.size() >= max_merges) throw merge_error("too many merges", max_merges);
    Merge merge{};
    const size_t begin = text_.size();
    if (reader.peek() == '[') {
      int parts = 0;
      reader.array([&] {
        text_ += reader.string(buffer_);
        if (parts++ == 0) merge.end[left] = text_.size();
      });
      if (parts != 2) throw merge_error("a merge is not two tokens", rank_ + batch_.size());
    } else {
      const std::string_view both = reader.string(buffer_);
      const size_t blank = both.find(' ');
      if (blank == std::string_view::npos || both.find(' ', blank + 1) != std::string_view::npos)
        throw merge_error("a merge is not two tokens with a blank between them", rank_ + batch_.size());
      merge.end[left] = begin + blank;
      text_.append(both.substr(0, blank)).append(both.substr(blank + 1));
    }
    merge.begin[left] = merge.begin[merged] = begin;
    merge.begin[right] = merge.end[left];
    merge.end[right] = merge.end[merged] = text_.size();
    if (!prefix_.empty() && view(merge, right).starts_with(prefix_)) {  // which the merged token has not inside
      merge.begin[merged] = text_.size();
      text_ += std::string(view(merge, left)) + std::string(view(merge, right).substr(prefix_.size()));
      merge.end[merged] = text_.size();
    }
    batch_.push_back(merge);
  }

  std::string_view view(const Merge& merge, int part) const {
    return std::string_view(text_).substr(merge.begin[part], merge.end[part] - merge.begin[part]);
  }

  void resolve() {
    for (Merge& merge : batch_)
      for (const int part : {left, right, merged}) {
        const std::string_view token = view(merge, part);
        merge.hash[part] = hash_bytes(token.data(), token.size());
        ids_.prefetch_slot(merge.hash[part]);
      }
    for (const Merge& merge : batch_)
      for (const uint64_t hash : merge.hash) ids_.prefetch_text(hash);
    for (size_t i = 0; i < batch_.size(); ++i) {
      Merge& merge = batch_[i];
      for (const int part : {left, right, merged}) {
        merge.id[part] = ids_.find(view(merge, part), merge.hash[part]);
        if (merge.id[part] < 0) {
          throw merge_error("a merge needs a token that the vocabulary lacks", rank_ + i)
              .with("token", view(merge, part));
        }
      }
      table_.prefetch(merge.id[left], merge.id[right]);
    }
    for (const Merge& merge : batch_) table_.add(merge.id[left], merge.id[right], merge.id[merged]);
    rank_ += batch_.size();
    batch_.clear();
    text_.clear();
  }

  const StringMap& ids_;
  std::string_view prefix_;
  MergeTable table_;
  size_t rank_ = 0;  // of the batch's first merge
  std::vector<Merge> batch_;
  std::string text_, buffer_;
};

StringMap words_of(const Vocabulary& vocabulary, bool bytes) {
  StringMap words;
  words.reserve(vocabulary.size(), vocabulary.bytes());
  std::string text;
  for (int32_t id = 0; id < vocabulary.id_limit(); ++id) {
    const std::string_view token = vocabulary.token(id);
    if (token.data() == nullptr) continue;
    if (!bytes) {
      words.insert(token, id);
      continue;
    }
    text.clear();  // tokens outside the alphabet can only be met as added tokens
    if (append_bytes_of_alphabet(text, token)) words.insert(text, id);
  }
  return words;
}

// Not where a byte without a token would have to become something else than nothing.
bool can_take_bytes(const BpeOptions& options, const Vocabulary& vocabulary) {
  if (!options.prefix.empty() || !options.suffix.empty()) return false;
  if (options.unknown_id < 0 && !options.byte_fallback) return true;
  const auto& letters = byte_alphabet().of_byte;
  return std::all_of(letters.begin(), letters.end(),
                     [&](const auto& letter) { return vocabulary.find(letter) >= 0; });
}

}  // namespace

std::unique_ptr<Model> load_bpe(const ModelSource& source, Vocabulary& vocabulary) {
  const ConfigNode& node = source.options;
  if (node.has("dropout") && !(node.child("dropout").value().is_number() && node.child("dropout").value() == 0))
    throw node.unsupported("dropout, which makes the encoding random");
  load_vocabulary(source.vocab, vocabulary);
  BpeOptions options{
      .prefix = node.string_or("continuing_subword_prefix", ""),
      .suffix = node.string_or("end_of_word_suffix", ""),
      .unknown_id = vocabulary.find(node.string_or("unk_token", "")),  // byte-level files name odd ones
      .fuse_unknown = node.boolean_or("fuse_unk", false),
      .byte_fallback = node.boolean_or("byte_fallback", false),
      .ignore_merges = node.boolean_or("ignore_merges", false)};
  std::vector<int32_t> fallback_ids = byte_fallback_ids(vocabulary);
  const bool bytes = source.bytes && can_take_bytes(options, vocabulary);
  MergeTable merges = MergeReader(vocabulary, options.prefix).read(source.merges);
  return std::make_unique<Bpe>(words_of(vocabulary, bytes), std::move(merges), std::move(options),
                               std::move(fallback_ids), bytes);
}

void load_vocabulary(std::string_view json, Vocabulary& vocabulary) {
  JsonReader reader(json);
  vocabulary.reserve(json.size() / 20, json.size() / 2);
  reader.object([&](std::string_view token) { vocabulary.insert(token, reader.integer(max_token_id)); });
  reader.end();
  vocabulary.build_reverse();
}

std::vector<int32_t> byte_fallback_ids(const Vocabulary& vocabulary) {
  std::vector<int32_t> ids(256);
  constexpr char digits[] = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const char token[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
    ids[byte] = vocabulary.find({token, sizeof token});
  }
  return ids;
}

}  // namespace chorus::tokenizer
