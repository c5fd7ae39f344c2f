#include <algorithm>

#include "tokenizer/json_reader.h"
#include "tokenizer/model.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

// A score below every token's, for characters that no token covers.
constexpr double unknown_penalty = 10;

/// Of all ways to write a piece as tokens the one with the highest sum of scores, by dynamic programming over the
/// places between characters; the first of equals.
class Unigram : public Model {
 public:
  Unigram(const Vocabulary& vocabulary, std::vector<double> scores, int32_t unknown_id, bool byte_fallback)
      : vocabulary_(vocabulary),
        scores_(std::move(scores)),
        unknown_id_(unknown_id),
        byte_fallback_(byte_fallback),
        fallback_ids_(byte_fallback_ids(vocabulary)) {
    double lowest = 0;
    for (size_t i = 0; i < scores_.size(); ++i) lowest = i == 0 ? scores_[i] : std::min(lowest, scores_[i]);
    unknown_score_ = lowest - unknown_penalty;
    build_trie();
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    std::vector<Best> best(piece.size() + 1);
    fill(piece, best);
    const size_t begin = ids.size();
    for (size_t end = piece.size(); end > 0;) {  // from the end, so ids come in reverse
      size_t start = best[end].start;
      const bool unknown = best[end].id == unknown_id_;
      while (unknown && start > 0 && best[start].id == unknown_id_) start = best[start].start;  // unknowns fuse
      append_reversed(piece.substr(start, end - start), ids);
      end = start;
    }
    std::reverse(ids.begin() + ptrdiff_t(begin), ids.end());
  }

 private:
  struct Best {
    double score = 0;
    size_t start = size_t(-1);  // of the last token of the best way to here; -1 = no way yet
    int32_t id = -1;
  };

  void fill(std::string_view piece, std::vector<Best>& best) const {
    for (size_t start = 0, size; start < piece.size(); start += size) {
      size = char_at(piece, start).size;
      const double so_far = best[start].score;
      bool has_single = false;
      const auto offer = [&](size_t end, double score, int32_t id) {
        if (best[end].start == size_t(-1) || so_far + score > best[end].score)
          best[end] = {so_far + score, start, id};
      };
      uint32_t node = 0;
      for (size_t end = start; end < piece.size();) {
        node = child(node, static_cast<unsigned char>(piece[end++]));
        if (node == 0) break;
        if (id_at_[node] < 0) continue;
        offer(end, scores_[size_t(id_at_[node])], id_at_[node]);
        has_single |= end - start == size;
      }
      if (has_single) continue;
      if (unknown_id_ < 0) {
        throw Error(Fault::input, "a character is not in the vocabulary, and the tokenizer has no unknown token")
            .with("character", piece.substr(start, size));
      }
      offer(start + size, unknown_score_, unknown_id_);
    }
  }

  void append_reversed(std::string_view token, std::vector<int32_t>& ids) const {
    const int32_t id = vocabulary_.find(token);
    if (id >= 0) return ids.push_back(id);
    const auto fallback_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    if (byte_fallback_ &&
        std::all_of(token.begin(), token.end(), [&](char byte) { return fallback_of(byte) >= 0; })) {
      for (size_t i = token.size(); i > 0; --i) ids.push_back(fallback_of(token[i - 1]));
    } else {
      ids.push_back(unknown_id_);
    }
  }

  // The trie: edges in one open-addressed table, (node, byte) -> node; node 0 is the root and never a child.
  void build_trie() {
    id_at_.push_back(-1);
    edges_.assign(1024, Edge{0, 0});
    for (int32_t id = 0; id < vocabulary_.id_limit(); ++id) {
      const std::string_view token = vocabulary_.token(id);
      uint32_t node = 0;
      for (const char c : token) node = child_or_new(node, static_cast<unsigned char>(c));
      if (node != 0) id_at_[node] = vocabulary_.find(token);
    }
  }

  struct Edge {
    uint64_t key;  // node << 8 | byte, plus 1; 0 = free
    uint32_t child;
  };

  size_t probe(uint64_t key) const {
    const size_t mask = edges_.size() - 1;
    for (size_t at = size_t(key * 0x9e3779b97f4a7c15 >> 20) & mask;; at = (at + 1) & mask)
      if (edges_[at].key == key || edges_[at].key == 0) return at;
  }

  uint32_t child(uint32_t node, unsigned char byte) const {
    return edges_[probe((uint64_t(node) << 8 | byte) + 1)].child;
  }

  uint32_t child_or_new(uint32_t node, unsigned char byte) {
    if (2 * id_at_.size() > edges_.size()) {
      std::vector<Edge> old = std::move(edges_);
      edges_.assign(2 * old.size(), Edge{0, 0});
      for (const Edge& edge : old)
        if (edge.key != 0) edges_[probe(edge.key)] = edge;
    }
    const uint64_t key = (uint64_t(node) << 8 | byte) + 1;
    Edge& edge = edges_[probe(key)];
    if (edge.key == 0) {
      edge = {key, uint32_t(id_at_.size())};
      id_at_.push_back(-1);
    }
    return edge.child;
  }

  const Vocabulary& vocabulary_;
  std::vector<double> scores_;  // by id
  int32_t unknown_id_;
  bool byte_fallback_;
  std::vector<int32_t> fallback_ids_;
  double unknown_score_ = 0;
  std::vector<Edge> edges_;
  std::vector<int32_t> id_at_;  // by node: the token that ends here, or -1
};

}  // namespace

std::unique_ptr<Model> load_unigram(const ModelSource& source, Vocabulary& vocabulary) {
  std::vector<double> scores;
  JsonReader reader(source.vocab);
  std::string buffer;
  reader.array([&] {
    if (scores.size() > size_t(max_token_id)) reader.fail("at most " + std::to_string(max_token_id) + " tokens");
    int parts = 0;
    reader.array([&] {
      if (parts == 0)
        vocabulary.insert(reader.string(buffer), int32_t(scores.size()));
      else if (parts == 1)
        scores.push_back(reader.number());
      ++parts;
      if (parts > 2) reader.fail("[token, score]");
    });
    if (parts != 2) reader.fail("[token, score]");
  });
  reader.end();
  vocabulary.build_reverse();
  const ConfigNode& node = source.options;
  const int32_t unknown_id = node.has("unk_id") ? node.integer("unk_id") : -1;
  if (unknown_id >= int32_t(scores.size())) throw node.child("unk_id").invalid("an id of the vocabulary");
  return std::make_unique<Unigram>(vocabulary, std::move(scores), unknown_id,
                                   node.boolean_or("byte_fallback", false));
}

}  // namespace chorus::tokenizer
