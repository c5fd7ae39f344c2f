#include "tokenizer/bpe.h"

#include <algorithm>
#include <queue>

#include "tokenizer/piece_cache.h"
#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

// Up to here scanning all ranks for the lowest beats a heap.
constexpr size_t short_piece = 64;

enum : uint8_t { unknown_yet, reachable, unreachable };

std::atomic<uint32_t> models = 0;

}  // namespace

Bpe::Bpe(StringMap words, MergeTable merges, BpeOptions options, std::vector<int32_t> fallback_ids, bool bytes)
    : number_(++models),
      words_(std::move(words)),
      merges_(std::move(merges)),
      options_(std::move(options)),
      fallback_ids_(std::move(fallback_ids)),
      bytes_(bytes) {
  int32_t highest = -1;
  words_.for_each([&](std::string_view, int32_t id) { highest = std::max(highest, id); });
  reachable_ = std::vector<std::atomic<uint8_t>>(size_t(highest + 1));
  for (int byte = 0; byte < 256; ++byte) {
    const char c = char(byte);
    id_of_byte_[size_t(byte)] = words_.find({&c, 1});
  }
  if (!bytes_) return;
  byte_pairs_.reserve(256 * 256);
  for (const int32_t left : id_of_byte_)
    for (const int32_t right : id_of_byte_) byte_pairs_.push_back(merges_.find(left, right));
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  const uint64_t hash = hash_bytes(piece.data(), piece.size());
  if (piece.size() > PieceCache::max_bytes) return encode_anew(piece, hash, ids);
  PieceCache::Entry& known = PieceCache::of_thread().at(hash);
  if (known.holds(number_, piece)) {
    ids.insert(ids.end(), known.ids().begin(), known.ids().end());
    return;
  }
  const size_t begin = ids.size();
  encode_anew(piece, hash, ids);
  known.keep(number_, piece, std::span(ids).subspan(begin));
}

void Bpe::encode_anew(std::string_view piece, uint64_t hash, std::vector<int32_t>& ids) const {
  const int32_t whole = words_.find(piece, hash);
  if (whole >= 0 && (options_.ignore_merges || is_one_token(piece, whole))) {
    ids.push_back(whole);
    return;
  }
  const size_t begin = ids.size();
  first_symbols(piece, ids);
  ids.resize(begin + merge(piece, ids.data() + begin, ids.size() - begin));
}

bool Bpe::is_one_token(std::string_view piece, int32_t id) const {
  if (!options_.prefix.empty() || !options_.suffix.empty()) return false;
  std::atomic<uint8_t>& known = reachable_[size_t(id)];
  if (known.load(std::memory_order_relaxed) == unknown_yet) {
    Symbols symbols;
    first_symbols(piece, symbols);
    const size_t n = merge(piece, symbols.data(), symbols.size());
    known.store(n == 1 && symbols[0] == id ? reachable : unreachable, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == reachable;
}

void Bpe::first_symbols(std::string_view piece, Symbols& symbols) const {
  if (!bytes_) return symbols_of_characters(piece, symbols);
  for (const char byte : piece) {
    const int32_t id = id_of_byte_[static_cast<unsigned char>(byte)];
    if (id >= 0) symbols.push_back(id);
  }
}

void Bpe::symbols_of_characters(std::string_view piece, Symbols& symbols) const {
  bool unknown_waits = false;  // an unknown token that a next unknown character may join
  std::string decorated;
  for (size_t at = 0, size; at < piece.size(); at += size) {
    size = char_at(piece, at).size;
    std::string_view symbol = piece.substr(at, size);
    const bool is_last = at + size == piece.size();
    if ((at > 0 && !options_.prefix.empty()) || (is_last && !options_.suffix.empty())) {
      decorated = at > 0 ? options_.prefix : "";
      decorated += symbol;
      if (is_last) decorated += options_.suffix;
      symbol = decorated;
    }
    const int32_t id = words_.find(symbol);
    const auto flush = [&] {
      if (unknown_waits) symbols.push_back(options_.unknown_id);
      unknown_waits = false;
    };
    const auto fallback_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    if (id >= 0) {
      flush();
      symbols.push_back(id);
    } else if (options_.byte_fallback &&
               std::all_of(symbol.begin(), symbol.end(), [&](char byte) { return fallback_of(byte) >= 0; })) {
      for (const char byte : symbol)
        symbols.push_back(fallback_of(byte));  // ahead of a waiting unknown, as Hugging Face does
    } else if (options_.unknown_id >= 0) {
      if (!options_.fuse_unknown) flush();
      unknown_waits = true;
    }
  }
  if (unknown_waits) symbols.push_back(options_.unknown_id);
}

// Merges in place and gives back how many symbols are left.
size_t Bpe::merge(std::string_view piece, int32_t* symbols, size_t n) const {
  if (n < 2) return n;
  return n <= short_piece ? merge_short(piece, symbols, n) : merge_long(symbols, n);
}

size_t Bpe::merge_short(std::string_view piece, int32_t* symbols, size_t n) const {
  Merge merges[short_piece];  // of the pair that begins at each symbol
  if (!byte_pairs_.empty() && n == piece.size()) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(piece[i]); };
    for (size_t i = 0; i + 1 < n; ++i) merges[i] = byte_pairs_[byte(i) * 256u + byte(i + 1)];
  } else {
    for (size_t i = 0; i + 1 < n; ++i) merges[i] = merges_.find(symbols[i], symbols[i + 1]);
  }
  while (n > 1) {
    const size_t at = size_t(std::min_element(merges, merges + n - 1) - merges);
    if (merges[at].none()) break;
    symbols[at] = merges[at].id();
    std::copy(symbols + at + 2, symbols + n, symbols + at + 1);
    if (at + 2 < n) std::copy(merges + at + 2, merges + n - 1, merges + at + 1);
    --n;
    if (at > 0) merges[at - 1] = merges_.find(symbols[at - 1], symbols[at]);
    if (at + 1 < n) merges[at] = merges_.find(symbols[at], symbols[at + 1]);
  }
  return n;
}

// The same for long pieces: a linked list, and a heap of (rank, place) in which outdated entries stay and are
// skipped.
size_t Bpe::merge_long(int32_t* symbols, size_t n) const {
  struct Node {
    uint32_t before, after;
    Merge merge;  // of the pair with the next symbol, as in its latest entry of the heap
  };
  const uint32_t end = uint32_t(n);
  std::vector<Node> nodes(n);
  std::vector<uint64_t> entries;
  entries.reserve(n);
  for (uint32_t i = 0; i < end; ++i) {
    nodes[i] = {i - 1, i + 1, i + 1 < end ? merges_.find(symbols[i], symbols[i + 1]) : Merge()};
    if (!nodes[i].merge.none()) entries.push_back(uint64_t(nodes[i].merge.rank()) << 32 | i);
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>(), std::move(entries));
  const auto update = [&](uint32_t at) {
    Node& node = nodes[at];
    node.merge = node.after < end ? merges_.find(symbols[at], symbols[node.after]) : Merge();
    if (!node.merge.none()) heap.push(uint64_t(node.merge.rank()) << 32 | at);
  };
  while (!heap.empty()) {
    const uint32_t rank = uint32_t(heap.top() >> 32), at = uint32_t(heap.top());
    heap.pop();
    Node& node = nodes[at];
    if (node.merge.none() || node.merge.rank() != rank) continue;
    symbols[at] = node.merge.id();
    nodes[node.after].merge = Merge();  // that symbol is part of this one now
    node.after = nodes[node.after].after;
    if (node.after < end) nodes[node.after].before = at;
    update(at);
    if (at > 0) update(node.before);
  }
  size_t left = 0;
  for (uint32_t i = 0; i < end; i = nodes[i].after) symbols[left++] = symbols[i];
  return left;
}

}  // namespace chorus::tokenizer
