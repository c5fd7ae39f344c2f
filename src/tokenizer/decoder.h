#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/config_node.h"

namespace chorus::tokenizer {

/// A step from tokens to text. It is fed tokens in order and passes on what later tokens can no longer change;
/// decoding at once feeds the same steps and ends them, so both give the same text.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  /// `token` is whole, or, behind a step that fuses all tokens to one, a piece of that one.
  virtual void add(std::string_view token) = 0;
  /// No more tokens: passes on what was held back, and begins anew.
  virtual void finish() { next_->finish(); }

 protected:
  void pass(std::string_view token) { next_->add(token); }

 private:
  friend class DecodeStream;
  DecodeStep* next_ = nullptr;
};

/// The steps for one text.
class DecodeStream {
 public:
  explicit DecodeStream(std::vector<std::unique_ptr<DecodeStep>> steps);
  DecodeStream(const DecodeStream&) = delete;
  DecodeStream& operator=(const DecodeStream&) = delete;

  void add(std::string_view token) { first_->add(token); }
  void finish() { first_->finish(); }
  /// The text so far, which is then forgotten.
  std::string take() { return std::exchange(text_, {}); }

 private:
  class Collect;
  std::string text_;
  std::vector<std::unique_ptr<DecodeStep>> steps_;
  DecodeStep* first_;
};

/// The object "decoder", checked, from which streams are made.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::unique_ptr<DecodeStream> start() const = 0;
};

/// Throws for a decoder that chorus does not have.
std::unique_ptr<Decoder> load_decoder(const ConfigNode& node);
/// Where the file has none: tokens with blanks between them.
std::unique_ptr<Decoder> blank_decoder();

}  // namespace chorus::tokenizer
