#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pieces.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

struct Part {
  Match span;
  bool is_match;
};

// The whole of [0, size) as matches and what lies between them.
void cover(const std::vector<Match>& matches, size_t size, bool invert, std::vector<Part>& parts) {
  size_t at = 0;
  for (const Match& match : matches) {
    if (match.begin > at) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at < size) parts.push_back({{at, size}, invert});
}

// Appends the pieces that `behavior` makes of the parts, moved by `offset`.
void cut(const std::vector<Part>& parts, Behavior behavior, size_t offset, std::vector<Match>& spans) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    bool join = false;  // with the piece before
    switch (behavior) {
      case Behavior::removed:
        if (part.is_match) continue;
        break;
      case Behavior::isolated:
        break;
      case Behavior::contiguous:
        join = i > 0 && parts[i - 1].is_match == part.is_match;
        break;
      case Behavior::merged_with_previous:
        join = i > 0 && part.is_match && !parts[i - 1].is_match;
        break;
      case Behavior::merged_with_next:
        join = i > 0 && !part.is_match && parts[i - 1].is_match;
        break;
    }
    if (join)
      spans.back().end = part.span.end + offset;
    else
      spans.push_back({part.span.begin + offset, part.span.end + offset});
  }
}

class Split : public PreTokenizer {
 public:
  Split(std::unique_ptr<Pattern> pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Match> spans, matches;
    std::vector<Part> parts;
    spans.reserve(pieces.text.size() / 4);
    for (const Match& span : pieces.spans) {
      matches.clear();
      parts.clear();
      pattern_->find(pieces.view(span), matches);
      if (behavior_ == Behavior::isolated && isolate(matches, span, spans)) continue;
      cover(matches, span.end - span.begin, invert_, parts);
      cut(parts, behavior_, span.begin, spans);
    }
    std::erase_if(spans, [](const Match& span) { return span.begin == span.end; });  // of matches of nothing
    pieces.spans = std::move(spans);
  }

 private:
  // The common case, every byte in a match: the matches are the pieces.
  static bool isolate(const std::vector<Match>& matches, const Match& span, std::vector<Match>& spans) {
    const size_t before = spans.size();
    size_t at = 0;
    for (const Match& match : matches) {
      if (match.begin != at || match.end == at) break;
      spans.push_back({match.begin + span.begin, match.end + span.begin});
      at = match.end;
    }
    if (at == span.end - span.begin) return true;
    spans.resize(before);
    return false;
  }

  std::unique_ptr<Pattern> pattern_;
  Behavior behavior_;
  bool invert_;
};

// Steps that rewrite every piece.
class Rewrite : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    std::string text;
    text.reserve(pieces.text.size() + pieces.text.size() / 4);
    for (Match& span : pieces.spans) {
      const size_t begin = text.size();
      rewrite(pieces.view(span), pieces.starts_input && span.begin == 0, text);
      span = {begin, text.size()};
    }
    pieces.text = std::move(text);
  }

 protected:
  virtual void rewrite(std::string_view piece, bool first, std::string& out) const = 0;
};

class ByteAlphabetStep : public Rewrite {
  void rewrite(std::string_view piece, bool, std::string& out) const override {
    append_in_byte_alphabet(out, piece);
  }
};

class SpaceBefore : public Rewrite {
  void rewrite(std::string_view piece, bool, std::string& out) const override {
    if (piece.front() != ' ') out += ' ';
    out += piece;
  }
};

enum class Prepend { always, first, never };

class Metaspace : public Rewrite {
 public:
  Metaspace(std::string replacement, Prepend prepend) : replacement_(std::move(replacement)), prepend_(prepend) {}

 private:
  void rewrite(std::string_view piece, bool first, std::string& out) const override {
    const bool has_one = piece.front() == ' ' || piece.starts_with(replacement_);
    if (!has_one && (prepend_ == Prepend::always || (prepend_ == Prepend::first && first))) out += replacement_;
    for (const char c : piece) {
      if (c == ' ')
        out += replacement_;
      else
        out += c;
    }
  }

  std::string replacement_;
  Prepend prepend_;
};

Behavior behavior_of(const ConfigNode& node, std::string_view name) {
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  throw node.unsupported("behavior \"" + std::string(name) + "\"");
}

class Loader {
 public:
  PreTokenizers run(const ConfigNode& node) {
    add(node, true);
    return std::move(out_);
  }

 private:
  void split(std::unique_ptr<Pattern> pattern, Behavior behavior, bool invert = false) {
    out_.steps.push_back(std::make_unique<Split>(std::move(pattern), behavior, invert));
  }

  void add(const ConfigNode& node, bool last) {
    const std::string type = node.type();
    if (type == "Sequence") {
      const std::vector<ConfigNode> parts = node.list("pretokenizers");
      for (size_t i = 0; i < parts.size(); ++i) add(parts[i], last && i + 1 == parts.size());
    } else if (type == "Split") {
      split(pattern_of(node, "pattern"), behavior_of(node, node.string("behavior")),
            node.boolean_or("invert", false));
    } else if (type == "ByteLevel") {
      if (node.boolean_or("add_prefix_space", true)) out_.steps.push_back(std::make_unique<SpaceBefore>());
      if (node.boolean_or("use_regex", true)) split(regex_pattern(gpt2_regex, node), Behavior::isolated);
      if (last)
        out_.byte_level_last = true;
      else
        out_.steps.push_back(byte_alphabet_step());
    } else if (type == "Metaspace") {
      metaspace(node);
    } else if (type == "Digits") {
      split(character_pattern(is_numeric),
            node.boolean_or("individual_digits", false) ? Behavior::isolated : Behavior::contiguous);
    } else if (type == "Whitespace") {
      split(word_pattern(), Behavior::removed, true);
    } else if (type == "WhitespaceSplit") {
      split(character_pattern(is_white_space), Behavior::removed);
    } else if (type == "Punctuation") {
      split(character_pattern(is_punctuation), behavior_of(node, node.string_or("behavior", "Isolated")));
    } else if (type == "BertPreTokenizer") {
      split(character_pattern(is_white_space), Behavior::removed);
      split(character_pattern(is_punctuation), Behavior::isolated);
    } else if (type == "CharDelimiterSplit") {
      node.character("delimiter");
      split(literal_pattern(node.string("delimiter")), Behavior::removed);
    } else {
      throw node.unsupported("pre-tokenizer \"" + type + "\"");
    }
  }

  void metaspace(const ConfigNode& node) {
    node.character("replacement");
    const std::string replacement = node.string("replacement");
    const bool old_prefix = node.boolean_or("add_prefix_space", true);  // how older files say it
    const std::string scheme = node.string_or("prepend_scheme", old_prefix ? "always" : "never");
    if (scheme != "always" && scheme != "first" && scheme != "never")
      throw node.unsupported("prepend_scheme \"" + scheme + "\"");
    out_.steps.push_back(std::make_unique<Metaspace>(replacement, scheme == "always"  ? Prepend::always
                                                                  : scheme == "first" ? Prepend::first
                                                                                      : Prepend::never));
    if (node.boolean_or("split", true)) split(literal_pattern(replacement), Behavior::merged_with_next);
  }

  PreTokenizers out_;
};

}  // namespace

PreTokenizers load_pre_tokenizers(const ConfigNode& node) {
  return Loader().run(node);
}

std::unique_ptr<PreTokenizer> byte_alphabet_step() {
  return std::make_unique<ByteAlphabetStep>();
}

}  // namespace chorus::tokenizer
