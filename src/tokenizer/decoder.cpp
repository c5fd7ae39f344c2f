#include "tokenizer/decoder.h"

#include "tokenizer/decode_steps.h"
#include "tokenizer/pattern.h"

namespace chorus::tokenizer {

class DecodeStream::Collect : public DecodeStep {
 public:
  explicit Collect(std::string& text) : text_(text) {}
  void add(std::string_view token) override { text_ += token; }
  void finish() override {}

 private:
  std::string& text_;
};

DecodeStream::DecodeStream(std::vector<std::unique_ptr<DecodeStep>> steps) : steps_(std::move(steps)) {
  steps_.push_back(std::make_unique<Collect>(text_));
  for (size_t i = 0; i + 1 < steps_.size(); ++i) steps_[i]->next_ = steps_[i + 1].get();
  first_ = steps_.front().get();
}

namespace {

using MakeStep = std::function<std::unique_ptr<DecodeStep>()>;

class StepList : public Decoder {
 public:
  std::unique_ptr<DecodeStream> start() const override {
    std::vector<std::unique_ptr<DecodeStep>> steps;
    for (const MakeStep& make : makers) steps.push_back(make());
    return std::make_unique<DecodeStream>(std::move(steps));
  }

  std::vector<MakeStep> makers;
};

class Loader {
 public:
  std::unique_ptr<Decoder> run(const ConfigNode& node) {
    add(node);
    return std::move(list_);
  }

 private:
  void step(MakeStep make) { list_->makers.push_back(std::move(make)); }

  void add(const ConfigNode& node) {
    const std::string type = node.type();
    if (type == "Sequence") {
      for (const ConfigNode& part : node.list("decoders")) add(part);
    } else if (type == "ByteLevel") {
      step(byte_level_step);
      fused_ = true;
    } else if (type == "Fuse") {
      step(fuse_step);
      fused_ = true;
    } else if (type == "ByteFallback" && !fused_) {
      step(byte_fallback_step);
    } else if (type == "Metaspace") {
      metaspace(node);
    } else if (type == "Replace") {
      replace(node);
    } else if (type == "Strip") {
      node.character("content");
      step([content = node.string("content"), start = size_t(node.integer_or("start", 0)),
            stop = size_t(node.integer_or("stop", 0)),
            fused = fused_] { return strip_step(content, start, stop, fused); });
    } else if (type == "WordPiece" && !fused_) {
      step([prefix = node.string_or("prefix", "##"), cleanup = node.boolean_or("cleanup", true)] {
        return word_piece_step(prefix, cleanup);
      });
    } else if (type == "BPEDecoder" && !fused_) {
      step([suffix = node.string_or("suffix", "</w>")] { return bpe_suffix_step(suffix); });
    } else {
      throw node.unsupported("decoder \"" + type + "\"" + (fused_ ? " behind one that joins the tokens" : ""));
    }
  }

  void metaspace(const ConfigNode& node) {
    node.character("replacement");
    const bool drops_first =
        node.boolean_or("add_prefix_space", true) && node.string_or("prepend_scheme", "always") != "never";
    step([replacement = node.string("replacement"), drops_first, fused = fused_] {
      return metaspace_step(replacement, drops_first, fused);
    });
  }

  void replace(const ConfigNode& node) {
    const std::string content = node.string("content");
    const ConfigNode pattern = node.child("pattern");
    if (pattern.value().is_object() && pattern.has("Regex")) {
      std::shared_ptr<const Pattern> regex = pattern_of(node, "pattern");
      const auto map = [regex, content](std::string_view text) {
        std::vector<Match> matches;
        regex->find(text, matches);
        std::string out;
        size_t at = 0;
        for (const Match& match : matches) {
          out.append(text, at, match.begin - at);
          out += content;
          at = match.end;
        }
        return out.append(text, at);
      };
      step([map, fused = fused_] { return map_step(map, fused); });
    } else {
      pattern_of(node, "pattern");  // checks
      const std::string literal =
          pattern.value().is_string() ? pattern.value().get<std::string>() : pattern.string("String");
      step([literal, content, fused = fused_] { return replace_step(literal, content, fused); });
    }
  }

  std::unique_ptr<StepList> list_ = std::make_unique<StepList>();
  bool fused_ = false;
};

}  // namespace

std::unique_ptr<Decoder> load_decoder(const ConfigNode& node) {
  return Loader().run(node);
}

std::unique_ptr<Decoder> blank_decoder() {
  auto list = std::make_unique<StepList>();
  list->makers.push_back(blank_between_step);
  return list;
}

}  // namespace chorus::tokenizer
