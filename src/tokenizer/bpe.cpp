#include "tokenizer/bpe.h"

#include <algorithm>
#include <queue>

#include "tokenizer/unicode.h"

namespace chorus::tokenizer {
namespace {

// Up to here scanning all ranks for the lowest beats a heap.
constexpr size_t short_piece = 64;

enum : uint8_t { unknown_yet, reachable, unreachable };

}  // namespace

Bpe::Bpe(StringMap words, MergeTable merges, BpeOptions options, std::vector<int32_t> fallback_ids, bool bytes)
    : words_(std::move(words)),
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
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  const int32_t whole = words_.find(piece);
  if (whole >= 0 && (options_.ignore_merges || is_one_token(piece, whole))) {
    ids.push_back(whole);
    return;
  }
  const size_t begin = ids.size();
  first_symbols(piece, ids);
  const size_t n = ids.size() - begin;
  ids.resize(begin + (n <= short_piece ? merge_short(ids.data() + begin, n) : merge_long(ids.data() + begin, n)));
}

bool Bpe::is_one_token(std::string_view piece, int32_t id) const {
  if (!options_.prefix.empty() || !options_.suffix.empty()) return false;
  std::atomic<uint8_t>& known = reachable_[size_t(id)];
  if (known.load(std::memory_order_relaxed) == unknown_yet) {
    Symbols symbols;
    first_symbols(piece, symbols);
    const size_t n = symbols.size() <= short_piece ? merge_short(symbols.data(), symbols.size())
                                                   : merge_long(symbols.data(), symbols.size());
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
size_t Bpe::merge_short(int32_t* symbols, size_t n) const {
  if (n < 2) return n;
  uint32_t ranks[short_piece];  // of the pair that begins at each symbol
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = merges_.rank(symbols[i], symbols[i + 1]);
  while (n > 1) {
    const size_t at = size_t(std::min_element(ranks, ranks + n - 1) - ranks);
    if (ranks[at] == MergeTable::none) break;
    symbols[at] = merges_.merged(ranks[at]);
    std::copy(symbols + at + 2, symbols + n, symbols + at + 1);
    if (at + 2 < n) std::copy(ranks + at + 2, ranks + n - 1, ranks + at + 1);
    --n;
    if (at > 0) ranks[at - 1] = merges_.rank(symbols[at - 1], symbols[at]);
    if (at + 1 < n) ranks[at] = merges_.rank(symbols[at], symbols[at + 1]);
  }
  return n;
}

// The same for long pieces: a linked list, and a heap of (rank, place) in which outdated entries stay and are
// skipped.
size_t Bpe::merge_long(int32_t* symbols, size_t n) const {
  struct Node {
    uint32_t before, after;
    uint32_t rank;  // of the pair with the next symbol, as in its latest entry of the heap
  };
  const uint32_t end = uint32_t(n);
  std::vector<Node> nodes(n);
  std::vector<uint64_t> entries;
  entries.reserve(n);
  for (uint32_t i = 0; i < end; ++i) {
    nodes[i] = {i - 1, i + 1, i + 1 < end ? merges_.rank(symbols[i], symbols[i + 1]) : MergeTable::none};
    if (nodes[i].rank != MergeTable::none) entries.push_back(uint64_t(nodes[i].rank) << 32 | i);
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>(), std::move(entries));
  const auto update = [&](uint32_t at) {
    const uint32_t next = nodes[at].after;
    nodes[at].rank = next < end ? merges_.rank(symbols[at], symbols[next]) : MergeTable::none;
    if (nodes[at].rank != MergeTable::none) heap.push(uint64_t(nodes[at].rank) << 32 | at);
  };
  constexpr uint32_t gone = 0xfffffffe;  // the rank of a symbol that has been merged into the one before
  while (!heap.empty()) {
    const uint32_t rank = uint32_t(heap.top() >> 32), at = uint32_t(heap.top());
    heap.pop();
    if (nodes[at].rank != rank) continue;
    const uint32_t next = nodes[at].after;
    symbols[at] = merges_.merged(rank);
    nodes[at].after = nodes[next].after;
    nodes[next].rank = gone;
    if (nodes[at].after < end) nodes[nodes[at].after].before = at;
    update(at);
    if (at > 0) update(nodes[at].before);
  }
  size_t left = 0;
  for (uint32_t i = 0; i < end; i = nodes[i].after) symbols[left++] = symbols[i];
  return left;
}

}  // namespace chorus::tokenizer
