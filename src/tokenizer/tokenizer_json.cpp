#include "base/json.h"
#include "tokenizer/json_reader.h"
#include "tokenizer/parts.h"

namespace chorus::tokenizer {
namespace {

// The values of an object's members as text; of the big ones nothing is parsed yet.
struct Sections {
  std::string_view operator[](std::string_view name) const {
    for (const auto& [key, text] : members)
      if (key == name) return text;
    return {};
  }
  void set(const std::string& name, std::string_view text) {  // of several with one name the last counts
    std::erase_if(members, [&](const auto& member) { return member.first == name; });
    members.emplace_back(name, text);
  }
  std::vector<std::pair<std::string, std::string_view>> members;
};

Sections sections_of(JsonReader& reader) {
  Sections sections;
  reader.object([&](std::string_view key) {
    const std::string name(key);
    sections.set(name, reader.skip());
  });
  return sections;
}

Json parse_section(std::string_view text, std::string_view name) {
  return text.empty() ? Json() : parse_json(text, name);
}

// "type" was not written by early versions.
std::string model_type(const ConfigNode& node, const Sections& sections) {
  if (node.has("type")) return node.type();
  if (!sections["merges"].empty()) return "BPE";
  if (sections["vocab"].starts_with('[')) return "Unigram";
  return node.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

void load_model(const Sections& sections, bool bytes, Tokenizer::Parts& parts) {
  Json options = Json::object();
  for (const auto& [name, value] : sections.members)
    if (name != "vocab" && name != "merges") options[name] = parse_json(value, "model." + name);
  const ConfigNode node(options, "model");
  const std::string type = model_type(node, sections);
  if (sections["vocab"].empty()) node.child("vocab");  // says that it is missing
  const ModelSource source{node, sections["vocab"], sections["merges"], bytes};
  if (type == "BPE")
    parts.model = load_bpe(source, parts.vocabulary);
  else if (type == "Unigram")
    parts.model = load_unigram(source, parts.vocabulary);
  else if (type == "WordPiece")
    parts.model = load_word_piece(source, parts.vocabulary);
  else if (type == "WordLevel")
    parts.model = load_word_level(source, parts.vocabulary);
  else
    throw node.unsupported("model \"" + type + "\"");
}

void load_added_tokens(const Json& json, Tokenizer::Parts& parts) {
  if (json.is_null()) return;
  const Json wrapped = {{"added_tokens", json}};
  const ConfigNode root(wrapped, "tokenizer");
  for (const ConfigNode& node : root.list("added_tokens")) {
    const int32_t id = node.integer("id");
    if (id > max_token_id) throw node.child("id").invalid("at most " + std::to_string(max_token_id));
    AddedToken token = added_token_of(node, id);
    const int32_t known = parts.vocabulary.find(token.content);
    if (known >= 0) token.id = known;  // the model's word counts, as with Hugging Face
    parts.added.add(std::move(token));
  }
}

}  // namespace

void load_tokenizer_json(std::string_view json, Tokenizer::Parts& parts) {
  JsonReader reader(json);
  Sections sections, model;
  bool has_model = false;
  reader.object([&](std::string_view key) {
    const std::string name(key);
    has_model |= name == "model";
    if (name == "model")
      model = sections_of(reader);
    else
      sections.set(name, reader.skip());
  });
  reader.end();
  const Json normalizer = parse_section(sections["normalizer"], "normalizer");
  if (!normalizer.is_null()) parts.normalizers = load_normalizers({normalizer, "normalizer"});

  const Json pre_tokenizer = parse_section(sections["pre_tokenizer"], "pre_tokenizer");
  PreTokenizers pre_tokenizers;
  if (!pre_tokenizer.is_null()) pre_tokenizers = load_pre_tokenizers({pre_tokenizer, "pre_tokenizer"});

  if (!has_model) throw Error(Fault::model, "a field is missing").with("field", "model");
  load_model(model, pre_tokenizers.byte_level_last, parts);
  if (pre_tokenizers.byte_level_last && !parts.model->takes_bytes())
    pre_tokenizers.steps.push_back(byte_alphabet_step());
  parts.pre_tokenizers = std::move(pre_tokenizers.steps);

  load_added_tokens(parse_section(sections["added_tokens"], "added_tokens"), parts);
  const Json post_processor = parse_section(sections["post_processor"], "post_processor");
  if (!post_processor.is_null()) parts.post_processor = load_post_processor({post_processor, "post_processor"});
  const Json decoder = parse_section(sections["decoder"], "decoder");
  parts.decoder = decoder.is_null() ? blank_decoder() : load_decoder({decoder, "decoder"});
}

}  // namespace chorus::tokenizer
