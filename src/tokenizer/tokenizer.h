#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace chorus::tokenizer {

using TokenIds = std::vector<int32_t>;

struct EncodeOptions {
  bool parse_special = true;  ///< special tokens written in the text become their ids; false: they are plain text
  bool add_special_tokens = false;  ///< what the post-processor adds: BOS, EOS
};

/// Text -> token ids -> text, as the files of a model folder say. Immutable after load, safe to use from any
/// thread.
class Tokenizer {
 public:
  /// Reads tokenizer.json, else tokenizer.model; added tokens that the first lacks come from
  /// tokenizer_config.json. Throws Fault::model naming the file and the part that is broken or unsupported.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& folder);
  /// The same from the text of a tokenizer.json alone.
  static std::shared_ptr<const Tokenizer> from_json(std::string_view tokenizer_json, std::string_view source);

  ~Tokenizer();

  /// Bytes that are not UTF-8 count as U+FFFD.
  TokenIds encode(std::string_view text, EncodeOptions options = {}) const;
  /// Each text by itself, spread over the pool's threads.
  std::vector<TokenIds> encode_batch(std::span<const std::string> texts, ThreadPool& threads,
                                     EncodeOptions options = {}) const;
  /// Ids that the vocabulary does not have give no text. The result is always UTF-8.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  /// As the vocabulary spells it (byte-level "Ġthe", "▁the"); empty for an id that it does not have.
  std::string_view id_to_token(int32_t id) const;
  bool is_special(int32_t id) const;
  int32_t vocab_size() const;  ///< the highest id + 1

  struct Parts;  ///< parts.h

 private:
  friend class Detokenizer;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace chorus::tokenizer
