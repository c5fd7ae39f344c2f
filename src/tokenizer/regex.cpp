// PCRE2 with the meaning that Oniguruma, in which tokenizer.json is written, gives to a pattern.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

#include "tokenizer/pattern.h"

namespace chorus::tokenizer {
namespace {

// White_Space; PCRE2's \s has U+180E besides.
constexpr const char* space_ranges =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// PCRE2's \w lacks marks and punctuation; Oniguruma's has the numbers of Latin-1 but no other ones than digits.
constexpr const char* word_ranges =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}\x{24b6}-\x{24e9})"
    R"(\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

class Translation {
 public:
  explicit Translation(const std::string& regex) : regex_(regex) {}

  std::string run() {
    std::string out;
    while (at_ < regex_.size()) {
      if (regex_[at_] == '\\')
        out += escape(false);
      else if (regex_[at_] == '[')
        out += char_class();
      else
        out += regex_[at_++];
    }
    return out;
  }

 private:
  std::string escape(bool in_class) {
    if (at_ + 1 >= regex_.size()) return std::string(1, regex_[at_++]);
    const char c = regex_[at_ + 1];
    at_ += 2;
    const auto in_brackets = [&](const char* ranges, bool negated) {
      return in_class ? ranges : std::string(negated ? "[^" : "[") + ranges + "]";
    };
    if (c == 's') return in_brackets(space_ranges, false);
    if (c == 'w') return in_brackets(word_ranges, false);
    if (c == 'h') return in_brackets("0-9a-fA-F", false);
    if (c == 'S' && !in_class) return in_brackets(space_ranges, true);
    if (c == 'W' && !in_class) return in_brackets(word_ranges, true);
    return {'\\', c};
  }

  // [...], where "&&" intersects and brackets nest: [A&&[^B]] becomes (?:(?=[^B])[A]).
  std::string char_class() {
    std::string out(1, regex_[at_++]), others;
    if (at_ < regex_.size() && regex_[at_] == '^') out += regex_[at_++];
    if (at_ < regex_.size() && regex_[at_] == ']') out += regex_[at_++];  // a literal ] in the first place
    while (at_ < regex_.size() && regex_[at_] != ']') {
      if (regex_[at_] == '\\') {
        out += escape(true);
      } else if (regex_.compare(at_, 2, "[:") == 0 && regex_.find(":]", at_) != std::string::npos) {
        const size_t end = regex_.find(":]", at_) + 2;
        out += regex_.substr(at_, end - at_);
        at_ = end;
      } else if (regex_.compare(at_, 3, "&&[") == 0) {
        at_ += 2;
        others += "(?=" + char_class() + ")";
      } else if (regex_[at_] == '[') {
        out += "\\[";
        ++at_;
      } else {
        out += regex_[at_++];
      }
    }
    if (at_ < regex_.size()) out += regex_[at_++];
    return others.empty() ? out : "(?:" + others + out + ")";
  }

  const std::string& regex_;
  size_t at_ = 0;
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

class Pcre2Pattern : public Pattern {
 public:
  Pcre2Pattern(const std::string& regex, const ConfigNode& where) : regex_(regex), where_(where.path()) {
    int error = 0;
    size_t offset = 0;
    const std::string translated = Translation(regex).run();
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                              nullptr));
    if (!code_) {
      throw Error(Fault::model, "the tokenizer has a regex that is not valid")
          .with("part", where_)
          .with("regex", regex)
          .with("reason", message_of(error));
    }
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter runs
  }

  void find(std::string_view text, std::vector<Match>& matches) const override {
    const Scratch& scratch = scratch_of_thread();
    size_t at = 0;
    uint32_t options = PCRE2_NO_UTF_CHECK;
    while (at <= text.size()) {
      const int n = match(text, at, options, scratch);
      if (n == PCRE2_ERROR_NOMATCH) {
        if (!(options & PCRE2_NOTEMPTY_ATSTART)) return;
        options = PCRE2_NO_UTF_CHECK;  // no longer match at this place: go on behind the next character
        do ++at;
        while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
        continue;
      }
      if (n < 0) {
        throw Error(Fault::model, "a regex of the tokenizer needs too much work on this text")
            .with("part", where_)
            .with("regex", regex_)
            .with("reason", message_of(n));
      }
      const size_t* found = pcre2_get_ovector_pointer(scratch.data.get());
      const size_t begin = found[0], end = found[1];
      if (begin < at || end < begin) return;  // \K in a look-around can give such
      matches.push_back({begin, end});
      at = end;
      options = begin == end ? PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : PCRE2_NO_UTF_CHECK;
    }
  }

 private:
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
    void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
    void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
  };

  // What a match needs besides the code; made once per thread, since pieces are short and many.
  struct Scratch {
    Scratch()
        : data(pcre2_match_data_create(1, nullptr)),  // of groups only the whole match is asked for
          context(pcre2_match_context_create(nullptr)),
          stack(pcre2_jit_stack_create(32 << 10, 64 << 20, nullptr)) {
      if (!data || !context) throw std::bad_alloc();
      if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
    std::unique_ptr<pcre2_match_data, Free> data;
    std::unique_ptr<pcre2_match_context, Free> context;
    std::unique_ptr<pcre2_jit_stack, Free> stack;
  };
  static const Scratch& scratch_of_thread() {
    static thread_local const Scratch scratch;
    return scratch;
  }

  // The compiled code; where its stack (64 MiB) is too small, the interpreter, whose stack is the heap.
  int match(std::string_view text, size_t at, uint32_t options, const Scratch& scratch) const {
    const auto run = [&](uint32_t more) {
      return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, options | more,
                         scratch.data.get(), scratch.context.get());
    };
    const int n = run(0);
    return n == PCRE2_ERROR_JIT_STACKLIMIT ? run(PCRE2_NO_JIT) : n;
  }

  std::string regex_, where_;
  std::unique_ptr<pcre2_code, Free> code_;
};

}  // namespace

std::unique_ptr<Pattern> pcre2_pattern(const std::string& regex, const ConfigNode& where) {
  return std::make_unique<Pcre2Pattern>(regex, where);
}

}  // namespace chorus::tokenizer
