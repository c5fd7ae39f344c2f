#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <new>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

std::string unicode_form(const std::string& text, int options) {
  if (is_ascii(text)) return text;  // is its own NFC, NFD, NFKC and NFKD
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()), &out,
                   utf8proc_option_t(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) throw Error(Fault::internal, "Unicode normalization failed").with("reason", utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(out), size_t(size)};
}

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(int options) : options_(options) {}
  std::string apply(std::string text) const override { return unicode_form(text, options_); }

 private:
  int options_;
};

constexpr int nfd = UTF8PROC_DECOMPOSE;

// Calls replace(c, out) for every character.
template <typename F>
std::string map_characters(std::string_view text, F replace) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    replace(c.value, out);
    at += c.size;
  }
  return out;
}

void append_lowercase(char32_t c, std::string& out) {
  if (c == 0x130)
    out += "i\xcc\x87";  // the one character whose lower case is two
  else
    append_utf8(out, char32_t(utf8proc_tolower(utf8proc_int32_t(c))));
}

class Lowercase : public Normalizer {
  std::string apply(std::string text) const override { return map_characters(text, append_lowercase); }
};

class StripAccents : public Normalizer {
  std::string apply(std::string text) const override {
    return map_characters(text, [](char32_t c, std::string& out) {
      if (!is_mark(c)) append_utf8(out, c);
    });
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string apply(std::string text) const override {
    size_t begin = 0, end = text.size();
    while (left_ && begin < end && is_white_space(char_at(text, begin).value)) begin += char_at(text, begin).size;
    while (right_ && end > begin && is_white_space(char_at(text, char_before(text, end)).value))
      end = char_before(text, end);
    return text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string apply(std::string text) const override { return text.empty() ? text : prefix_ + text; }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(std::unique_ptr<Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string apply(std::string text) const override {
    std::vector<Match> matches;
    pattern_->find(text, matches);
    if (matches.empty()) return text;
    std::string out;
    out.reserve(text.size() + matches.size() * content_.size());
    size_t at = 0;
    for (const Match& match : matches) {
      out.append(text, at, match.begin - at);
      out += content_;
      at = match.end;
    }
    return out.append(text, at);
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  std::string content_;
};

class ByteLevel : public Normalizer {
  std::string apply(std::string text) const override {
    std::string out;
    append_in_byte_alphabet(out, text);
    return out;
  }
};

// What the sentencepiece normalizer "nmt" does besides its table.
class Nmt : public Normalizer {
  std::string apply(std::string text) const override {
    return map_characters(text, [](char32_t c, std::string& out) {
      if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) return;
      const bool blank = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                         (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                         c == 0xfeff || c == 0xfffd;
      append_utf8(out, blank ? U' ' : c);
    });
  }
};

bool is_chinese(char32_t c) {  // BERT's idea of it
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

class Bert : public Normalizer {
 public:
  explicit Bert(const ConfigNode& node)
      : clean_(node.boolean_or("clean_text", true)),
        chinese_(node.boolean_or("handle_chinese_chars", true)),
        lowercase_(node.boolean_or("lowercase", true)),
        strip_accents_(node.boolean_or("strip_accents", lowercase_)) {}

  std::string apply(std::string text) const override {
    text = map_characters(text, [&](char32_t c, std::string& out) {
      const bool blank = c == '\t' || c == '\n' || c == '\r' || is_white_space(c);
      const bool control = c == 0 || c == 0xfffd || (is_other(c) && c != '\t' && c != '\n' && c != '\r');
      if (clean_ && control) return;
      if (chinese_ && is_chinese(c)) out += ' ';
      append_utf8(out, clean_ && blank ? U' ' : c);
      if (chinese_ && is_chinese(c)) out += ' ';
    });
    if (strip_accents_) {
      text = map_characters(unicode_form(text, nfd), [](char32_t c, std::string& out) {
        if (!is_nonspacing_mark(c)) append_utf8(out, c);
      });
    }
    return lowercase_ ? map_characters(text, append_lowercase) : text;
  }

 private:
  bool clean_, chinese_, lowercase_, strip_accents_;
};

std::unique_ptr<Normalizer> load_one(const ConfigNode& node, const std::string& type) {
  if (type == "NFC") return std::make_unique<UnicodeForm>(UTF8PROC_COMPOSE);
  if (type == "NFD") return std::make_unique<UnicodeForm>(nfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Strip")
    return std::make_unique<Strip>(node.boolean_or("strip_left", true), node.boolean_or("strip_right", true));
  if (type == "Prepend") return std::make_unique<Prepend>(node.string("prepend"));
  if (type == "Replace") return std::make_unique<Replace>(pattern_of(node, "pattern"), node.string("content"));
  if (type == "BertNormalizer") return std::make_unique<Bert>(node);
  if (type == "Precompiled") return precompiled_charsmap(node);
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "Nmt") return std::make_unique<Nmt>();
  throw node.unsupported("normalizer \"" + type + "\"");
}

void add(const ConfigNode& node, std::vector<std::unique_ptr<Normalizer>>& steps) {
  const std::string type = node.type();
  if (type != "Sequence") {
    steps.push_back(load_one(node, type));
    return;
  }
  for (const ConfigNode& part : node.list("normalizers")) add(part, steps);
}

}  // namespace

std::vector<std::unique_ptr<Normalizer>> load_normalizers(const ConfigNode& node) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  add(node, steps);
  return steps;
}

}  // namespace chorus::tokenizer
