#include "chat/word_wrap.h"

#include "base/utf8.h"
#include "chat/failure.h"
#include "chat/limits.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

bool is_wrap_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}  // textwrap knows ASCII blanks only

bool is_letter(char32_t c) {
  return is_word(c) && !is_decimal(c) && c != '_';
}

char32_t character_at(std::string_view text, size_t at) {
  return at < text.size() ? decode_utf8(text, at).value : 0;
}

char32_t character_before(std::string_view text, size_t at) {
  if (at == 0) return 0;
  size_t before = at - 1;
  while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xc0) == 0x80) --before;
  return decode_utf8(text, before).value;
}

// Whether a word may break behind the hyphen at `at`: letter, letter-letter, letter.
bool breaks_after(std::string_view word, size_t at, size_t begin) {
  const auto before = word.substr(begin, at - begin);
  if (before.empty()) return false;
  size_t last = before.size();
  const char32_t one = character_before(before, last);
  do --last;
  while (last > 0 && (static_cast<unsigned char>(before[last]) & 0xc0) == 0x80);
  const char32_t two = character_before(before, last);
  const char32_t next = character_at(word, at + 1);
  const char32_t after = at + 1 < word.size() ? character_at(word, at + 1 + decode_utf8(word, at + 1).size) : 0;
  return is_letter(one) && (is_letter(two) || two == '-') && is_letter(next) && (is_letter(after) || after == '-');
}

void add_word(std::vector<std::string>& chunks, std::string_view word, bool break_on_hyphens) {
  size_t begin = 0;
  for (size_t at = 0; break_on_hyphens && at < word.size(); ++at)
    if (word[at] == '-' && breaks_after(word, at, begin)) {
      chunks.emplace_back(word.substr(begin, at + 1 - begin));
      begin = at + 1;
    }
  if (begin < word.size()) chunks.emplace_back(word.substr(begin));
}

// Words and the blanks between them.
std::vector<std::string> chunks_of(std::string_view text, bool break_on_hyphens) {
  std::vector<std::string> chunks;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const bool blank = is_wrap_space(text[at]);
    while (end < text.size() && is_wrap_space(text[end]) == blank) ++end;
    if (blank)
      chunks.emplace_back(text.substr(at, end - at));
    else
      add_word(chunks, text.substr(at, end - at), break_on_hyphens);
    at = end;
  }
  return chunks;
}

bool is_blank(const std::string& chunk) {
  return strip(chunk, true, true).empty();
}

}  // namespace

std::vector<std::string> wrap_words(std::string_view text, int64_t width, bool break_long_words,
                                    bool break_on_hyphens) {
  if (width <= 0) fail_value("invalid width " + std::to_string(width) + " (must be > 0)");
  charge(int64_t(text.size() / 8));
  std::vector<std::string> chunks = chunks_of(text, break_on_hyphens), lines;
  for (size_t i = 0; i < chunks.size();) {
    std::vector<std::string> line;
    int64_t used = 0;
    if (!lines.empty() && is_blank(chunks[i])) ++i;
    for (; i < chunks.size(); ++i) {
      const int64_t size = int64_t(utf8_length(chunks[i]));
      if (used + size > width) break;
      line.push_back(chunks[i]);
      used += size;
    }
    if (i < chunks.size() && int64_t(utf8_length(chunks[i])) > width) {
      if (break_long_words) {
        size_t end = 0;
        int64_t taken = 0;
        for (; taken < width - used && end < chunks[i].size(); ++taken) end += decode_utf8(chunks[i], end).size;
        if (break_on_hyphens) {
          const size_t hyphen = end == 0 ? std::string::npos : chunks[i].rfind('-', end - 1);
          if (hyphen != std::string::npos && hyphen > 0 && chunks[i].find_first_not_of('-') < hyphen)
            end = hyphen + 1;
        }
        line.push_back(chunks[i].substr(0, end));
        chunks[i].erase(0, end);
        charge(1 + int64_t(chunks[i].size() / 64));
      } else if (line.empty()) {
        line.push_back(chunks[i++]);
      }
    }
    if (!line.empty() && is_blank(line.back())) line.pop_back();
    if (line.empty()) continue;
    std::string joined;
    for (const std::string& chunk : line) joined += chunk;
    lines.push_back(std::move(joined));
  }
  return lines;
}

}  // namespace chorus::jinja
