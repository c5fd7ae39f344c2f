#include "tokenizer/decode_steps.h"

#include <charconv>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"

namespace chorus::tokenizer {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t found; !from.empty() && (found = text.find(from, at)) != std::string_view::npos;
       at = found + from.size()) {
    out.append(text, at, found - at);
    out += to;
  }
  return out.append(text, at);
}

// Byte alphabet -> bytes -> text, where a character may be spread over tokens.
class ByteLevel : public DecodeStep {
  void add(std::string_view token) override {
    if (!append_bytes_of_alphabet(bytes_, token)) bytes_ += token;  // an added token, as it is
    const size_t whole = complete_utf8_prefix(bytes_);
    if (whole == 0) return;
    pass(replace_invalid_utf8(std::string_view(bytes_).substr(0, whole)));
    bytes_.erase(0, whole);
  }
  void finish() override {
    if (!bytes_.empty()) pass(replace_invalid_utf8(bytes_));
    bytes_.clear();
    DecodeStep::finish();
  }

  std::string bytes_;
};

// A run of <0xHH> tokens is their bytes where these are UTF-8 as a whole, else U+FFFD for each: so a run is known
// only at its end, or as soon as it is broken.
class ByteFallback : public DecodeStep {
  void add(std::string_view token) override {
    const int byte = byte_of(token);
    if (byte < 0) {
      flush();
      pass(token);
      return;
    }
    if (broken_) return pass("\xef\xbf\xbd");
    run_ += char(byte);
    if (!is_utf8(std::string_view(run_).substr(0, complete_utf8_prefix(run_)))) {
      broken_ = true;
      for (size_t i = 0; i < run_.size(); ++i) pass("\xef\xbf\xbd");
    }
  }
  void finish() override {
    flush();
    DecodeStep::finish();
  }

  void flush() {
    if (!broken_ && !run_.empty()) {
      if (is_utf8(run_))
        pass(run_);
      else
        for (size_t i = 0; i < run_.size(); ++i) pass("\xef\xbf\xbd");
    }
    run_.clear();
    broken_ = false;
  }

  static int byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
    int byte = -1;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    return error == std::errc() && end == token.data() + 5 ? byte : -1;
  }

  std::string run_;
  bool broken_ = false;
};

class Fuse : public DecodeStep {
  void add(std::string_view token) override {
    if (!token.empty()) pass(token);
  }
};

class Metaspace : public DecodeStep {
 public:
  Metaspace(std::string replacement, bool drops_first, bool fused)
      : replacement_(std::move(replacement)), drops_first_(drops_first), fused_(fused) {}
  void add(std::string_view token) override {
    pass(replace_all(token, replacement_, is_first_ && drops_first_ ? "" : " "));
    if (!fused_) is_first_ = false;
  }
  void finish() override {
    is_first_ = true;
    DecodeStep::finish();
  }

 private:
  std::string replacement_;
  bool drops_first_, fused_, is_first_ = true;
};

// A literal in a text that comes in pieces: what may be the beginning of it is held back.
class ReplaceInStream : public DecodeStep {
 public:
  ReplaceInStream(std::string literal, std::string content)
      : literal_(std::move(literal)), content_(std::move(content)) {}
  void add(std::string_view piece) override {
    text_ += piece;
    std::string out;
    size_t at = 0;
    for (size_t found; (found = text_.find(literal_, at)) != std::string::npos; at = found + literal_.size()) {
      out.append(text_, at, found - at);
      out += content_;
    }
    size_t keep = std::min(literal_.size() - 1, text_.size() - at);
    while (keep > 0 &&
           !std::string_view(literal_).starts_with(std::string_view(text_).substr(text_.size() - keep)))
      --keep;
    out.append(text_, at, text_.size() - keep - at);
    text_.erase(0, text_.size() - keep);
    if (!out.empty()) pass(out);
  }
  void finish() override {
    if (!text_.empty()) pass(text_);
    text_.clear();
    DecodeStep::finish();
  }

 private:
  std::string literal_, content_, text_;
};

// Takes `content` away up to `start` times at the beginning and up to `stop` times at the end of the one token.
class StripInStream : public DecodeStep {
 public:
  StripInStream(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop), left_(start) {}
  void add(std::string_view piece) override {
    while (left_ > 0 && piece.starts_with(content_)) {
      piece.remove_prefix(content_.size());
      --left_;
    }
    if (piece.empty()) return;
    left_ = 0;
    held_ += piece;
    size_t keep = 0;
    for (size_t i = 0; i < stop_ && std::string_view(held_).substr(0, held_.size() - keep).ends_with(content_);
         ++i)
      keep += content_.size();
    if (keep < held_.size()) pass(std::string_view(held_).substr(0, held_.size() - keep));
    held_.erase(0, held_.size() - keep);
  }
  void finish() override {
    held_.clear();  // nothing but what is stripped
    left_ = start_;
    DecodeStep::finish();
  }

 private:
  std::string content_;
  size_t start_, stop_, left_;
  std::string held_;
};

std::string strip(std::string_view token, std::string_view content, size_t start, size_t stop) {
  for (size_t i = 0; i < start && token.starts_with(content); ++i) token.remove_prefix(content.size());
  for (size_t i = 0; i < stop && token.ends_with(content); ++i) token.remove_suffix(content.size());
  return std::string(token);
}

class Map : public DecodeStep {
 public:
  Map(std::function<std::string(std::string_view)> map, bool fused) : map_(std::move(map)), fused_(fused) {}
  void add(std::string_view token) override {
    if (fused_)
      text_ += token;
    else
      pass(map_(token));
  }
  void finish() override {
    if (!text_.empty()) pass(map_(text_));
    text_.clear();
    DecodeStep::finish();
  }

 private:
  std::function<std::string(std::string_view)> map_;
  bool fused_;
  std::string text_;
};

class WordPiece : public DecodeStep {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void add(std::string_view token) override {
    std::string text;
    if (!is_first_ && token.starts_with(prefix_))
      token.remove_prefix(prefix_.size());
    else if (!is_first_)
      text += ' ';
    text += token;
    is_first_ = false;
    pass(cleanup_ ? clean(std::move(text)) : text);
  }
  void finish() override {
    is_first_ = true;
    DecodeStep::finish();
  }

 private:
  static std::string clean(std::string text) {
    constexpr std::pair<std::string_view, std::string_view> rules[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : rules) text = replace_all(text, from, to);
    return text;
  }

  std::string prefix_;
  bool cleanup_, is_first_ = true;
};

// The end-of-word mark becomes a blank, in the last token nothing.
class BpeSuffix : public DecodeStep {
 public:
  explicit BpeSuffix(std::string suffix) : suffix_(std::move(suffix)) {}
  void add(std::string_view token) override {
    if (has_last_) pass(replace_all(last_, suffix_, " "));
    last_ = token;
    has_last_ = true;
  }
  void finish() override {
    if (has_last_) pass(replace_all(last_, suffix_, ""));
    has_last_ = false;
    DecodeStep::finish();
  }

 private:
  std::string suffix_, last_;
  bool has_last_ = false;
};

class BlankBetween : public DecodeStep {
  void add(std::string_view token) override {
    if (!is_first_) pass(" ");
    is_first_ = false;
    pass(token);
  }
  void finish() override {
    is_first_ = true;
    DecodeStep::finish();
  }

  bool is_first_ = true;
};

}  // namespace

std::unique_ptr<DecodeStep> byte_level_step() {
  return std::make_unique<ByteLevel>();
}
std::unique_ptr<DecodeStep> byte_fallback_step() {
  return std::make_unique<ByteFallback>();
}
std::unique_ptr<DecodeStep> fuse_step() {
  return std::make_unique<Fuse>();
}
std::unique_ptr<DecodeStep> blank_between_step() {
  return std::make_unique<BlankBetween>();
}

std::unique_ptr<DecodeStep> metaspace_step(std::string replacement, bool drops_first, bool fused) {
  return std::make_unique<Metaspace>(std::move(replacement), drops_first, fused);
}

std::unique_ptr<DecodeStep> replace_step(std::string literal, std::string content, bool fused) {
  if (literal.empty()) return fuse_step();  // matches nowhere
  if (fused) return std::make_unique<ReplaceInStream>(std::move(literal), std::move(content));
  return map_step([=](std::string_view token) { return replace_all(token, literal, content); }, false);
}

std::unique_ptr<DecodeStep> strip_step(std::string content, size_t start, size_t stop, bool fused) {
  if (fused) return std::make_unique<StripInStream>(std::move(content), start, stop);
  return map_step([=](std::string_view token) { return strip(token, content, start, stop); }, false);
}

std::unique_ptr<DecodeStep> word_piece_step(std::string prefix, bool cleanup) {
  return std::make_unique<WordPiece>(std::move(prefix), cleanup);
}

std::unique_ptr<DecodeStep> bpe_suffix_step(std::string suffix) {
  return std::make_unique<BpeSuffix>(std::move(suffix));
}

std::unique_ptr<DecodeStep> map_step(std::function<std::string(std::string_view)> map, bool fused) {
  return std::make_unique<Map>(std::move(map), fused);
}

}  // namespace chorus::tokenizer
