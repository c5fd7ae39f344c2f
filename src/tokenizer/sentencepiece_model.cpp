// tokenizer.model: text -> ids is the sentencepiece library's work; ids -> text is done here step by step, because
// the library decodes only whole sequences (tests/tokenizer/sentencepiece_test.cpp compares the two).
#include <sentencepiece_processor.h>

#include "base/utf8.h"
#include "tokenizer/decode_steps.h"
#include "tokenizer/parts.h"

namespace chorus::tokenizer {
namespace {

using sentencepiece::SentencePieceProcessor;

/// What the decoder needs of the file's protocol buffer and the library does not tell.
struct Settings {
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  std::string unknown_surface = " \xe2\x81\x87 ";
  bool denormalizes = false;
};

/// Reads fields of a protocol buffer: a varint key (number << 3 | type), then a varint, 8 or 4 bytes, or a length
/// and bytes. Stops quietly where the bytes make no sense; the library has then already refused the file.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}

  bool next() {
    if (bytes_.empty()) return false;
    const uint64_t key = varint();
    number = key >> 3;
    switch (key & 7) {
      case 0:
        value = varint();
        return true;
      case 1:
        return take(8);
      case 2:
        return take(varint());
      case 5:
        return take(4);
      default:
        return false;
    }
  }

  uint64_t number = 0, value = 0;
  std::string_view content;

 private:
  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      result |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return result;
  }
  bool take(uint64_t size) {
    if (size > bytes_.size()) return false;
    content = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }

  std::string_view bytes_;
};

// ModelProto: 2 trainer_spec {44 unk_surface}, 3 normalizer_spec {3 add_dummy_prefix, 4 remove_extra_whitespaces},
// 5 denormalizer_spec {2 precompiled_charsmap}.
Settings settings_of(std::string_view model) {
  Settings settings;
  for (Fields top(model); top.next();) {
    if (top.number != 2 && top.number != 3 && top.number != 5) continue;
    for (Fields spec(top.content); spec.next();) {
      if (top.number == 2 && spec.number == 44) settings.unknown_surface = std::string(spec.content);
      if (top.number == 3 && spec.number == 3) settings.add_dummy_prefix = spec.value != 0;
      if (top.number == 3 && spec.number == 4) settings.remove_extra_whitespaces = spec.value != 0;
      if (top.number == 5 && spec.number == 2) settings.denormalizes = !spec.content.empty();
    }
  }
  return settings;
}

class SentencePiece : public Model {
 public:
  explicit SentencePiece(std::shared_ptr<const SentencePieceProcessor> processor)
      : processor_(std::move(processor)) {}

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    std::vector<int> found;
    const auto status = processor_->Encode({piece.data(), piece.size()}, &found);
    if (!status.ok())
      throw Error(Fault::input, "sentencepiece cannot encode the text").with("reason", status.ToString());
    ids.insert(ids.end(), found.begin(), found.end());
  }

 private:
  std::shared_ptr<const SentencePieceProcessor> processor_;
};

class SentencePieceStep : public DecodeStep {
 public:
  SentencePieceStep(std::shared_ptr<const SentencePieceProcessor> processor, const Settings& settings)
      : processor_(std::move(processor)), settings_(settings) {}

  void add(std::string_view token) override {
    const int id = processor_->PieceToId({token.data(), token.size()});
    if (processor_->IsByte(id)) return add_byte(char(std::stoi(std::string(token.substr(3, 2)), nullptr, 16)));
    flush_bytes();
    if (blank_taken_ || has_text_) at_start_ = false;
    blank_taken_ = false;
    if (processor_->IsControl(id)) return;
    if (processor_->IsUnknown(id))
      return emit(token == processor_->IdToPiece(id) ? settings_.unknown_surface : token);
    if (at_start_ && (settings_.add_dummy_prefix || settings_.remove_extra_whitespaces) &&
        token.starts_with(blank)) {
      token.remove_prefix(blank.size());
      blank_taken_ = !settings_.remove_extra_whitespaces;  // else the next ones go too
    }
    std::string text;
    for (size_t at = 0; at < token.size();) {
      const bool is_blank = token.substr(at).starts_with(blank);
      text += is_blank ? ' ' : token[at];
      at += is_blank ? blank.size() : 1;
    }
    emit(text);
  }

  void finish() override {
    flush_bytes();
    at_start_ = true;
    blank_taken_ = has_text_ = false;
    DecodeStep::finish();
  }

 private:
  static constexpr std::string_view blank = "\xe2\x96\x81";

  void emit(std::string_view text) {
    if (text.empty()) return;
    has_text_ = true;
    pass(text);
  }

  void add_byte(char byte) {
    bytes_ += byte;
    emit_bytes(complete_utf8_prefix(bytes_));
  }
  void flush_bytes() { emit_bytes(bytes_.size()); }

  // Whole characters as they are, every other byte as U+FFFD.
  void emit_bytes(size_t size) {
    std::string text;
    for (size_t at = 0; at < size;) {
      const CodePoint c = decode_utf8(std::string_view(bytes_).substr(0, size), at);
      if (c.valid)
        text.append(bytes_, at, c.size);
      else
        append_utf8(text, 0xfffd);
      at += c.valid ? c.size : 1;
    }
    bytes_.erase(0, size);
    emit(text);
  }

  std::shared_ptr<const SentencePieceProcessor> processor_;
  Settings settings_;
  std::string bytes_;  // of a character that is not yet whole
  bool at_start_ = true, blank_taken_ = false, has_text_ = false;
};

class SentencePieceDecoder : public Decoder {
 public:
  SentencePieceDecoder(std::shared_ptr<const SentencePieceProcessor> processor, Settings settings)
      : processor_(std::move(processor)), settings_(std::move(settings)) {}
  std::unique_ptr<DecodeStream> start() const override {
    std::vector<std::unique_ptr<DecodeStep>> steps;
    steps.push_back(std::make_unique<SentencePieceStep>(processor_, settings_));
    return std::make_unique<DecodeStream>(std::move(steps));
  }

 private:
  std::shared_ptr<const SentencePieceProcessor> processor_;
  Settings settings_;
};

}  // namespace

void load_sentencepiece(const std::string& model, Tokenizer::Parts& parts) {
  const auto processor = std::make_shared<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto({model.data(), model.size()});
  if (!status.ok()) throw Error(Fault::model, "not a sentencepiece model").with("reason", status.ToString());
  const Settings settings = settings_of(model);
  if (settings.denormalizes) {
    throw Error(Fault::model, "the tokenizer has a part that chorus does not support")
        .with("unsupported", "denormalizer_spec");
  }
  for (int id = 0; id < processor->GetPieceSize(); ++id) {
    const std::string& piece = processor->IdToPiece(id);
    parts.vocabulary.insert(piece, id);
    if (processor->IsControl(id))
      parts.added.add({.content = piece, .id = id, .special = true, .searched = false});
  }
  parts.vocabulary.build_reverse();
  parts.model = std::make_unique<SentencePiece>(processor);
  parts.decoder = std::make_unique<SentencePieceDecoder>(processor, settings);
  if (processor->bos_id() >= 0) parts.post_processor.before = {processor->bos_id()};
}

}  // namespace chorus::tokenizer
