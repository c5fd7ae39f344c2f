#include "tokenizer/post_processor.h"

#include "tokenizer/vocabulary.h"

namespace chorus::tokenizer {
namespace {

int32_t id_of(const ConfigNode& node) {
  if (!node.value().is_number_unsigned() || node.value().get<uint64_t>() > uint64_t(max_token_id))
    throw node.invalid("a token id of at most " + std::to_string(max_token_id));
  return node.value().get<int32_t>();
}

// "special_tokens": {name: {"ids": [...]}}.
void append_special(const ConfigNode& node, const std::string& name, std::vector<int32_t>& ids) {
  for (const ConfigNode& id : node.child("special_tokens").child(name).list("ids")) ids.push_back(id_of(id));
}

PostProcessor template_processing(const ConfigNode& node) {
  PostProcessor out;
  bool behind = false;
  for (const ConfigNode& item : node.list("single")) {
    if (item.has("Sequence")) {
      if (behind || item.child("Sequence").string("id") != "A") throw item.invalid("the sequence A, once");
      behind = true;
    } else {
      append_special(node, item.child("SpecialToken").string("id"), behind ? out.after : out.before);
    }
  }
  if (!behind) throw node.child("single").invalid("the sequence A, once");
  return out;
}

// "sep" and "cls": ["token", id].
PostProcessor bert(const ConfigNode& node) {
  const auto id = [&](std::string_view key) {
    const std::vector<ConfigNode> pair = node.list(key);
    if (pair.size() != 2) throw node.child(key).invalid("[token, id]");
    return id_of(pair[1]);
  };
  return {{id("cls")}, {id("sep")}};
}

}  // namespace

PostProcessor load_post_processor(const ConfigNode& node) {
  const std::string type = node.type();
  if (type == "ByteLevel") return {};  // changes offsets only
  if (type == "TemplateProcessing") return template_processing(node);
  if (type == "BertProcessing" || type == "RobertaProcessing") return bert(node);
  if (type != "Sequence") throw node.unsupported("post-processor \"" + type + "\"");
  PostProcessor out;
  for (const ConfigNode& part : node.list("processors")) {
    const PostProcessor next = load_post_processor(part);
    out.before.insert(out.before.begin(), next.before.begin(), next.before.end());
    out.after.insert(out.after.end(), next.after.begin(), next.after.end());
  }
  return out;
}

}  // namespace chorus::tokenizer
