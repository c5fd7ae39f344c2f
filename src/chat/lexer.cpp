#include "chat/lexer.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "chat/string_literal.h"
#include "chat/unicode.h"

namespace chorus::jinja {
namespace {

// Python's text.split over \r\n, \r and \n, joined by \n; one newline at the very end is dropped
// (keep_trailing_newline is off).
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

struct Operator {
  std::string_view text;
  Token token;
};
// Longest first.
constexpr Operator operators[] = {
    {"//", Token::floordiv}, {"**", Token::pow},      {"==", Token::eq},    {"!=", Token::ne},
    {">=", Token::gteq},     {"<=", Token::lteq},     {"+", Token::add},    {"-", Token::sub},
    {"/", Token::div},       {"*", Token::mul},       {"%", Token::mod},    {"~", Token::tilde},
    {"[", Token::lbracket},  {"]", Token::rbracket},  {"(", Token::lparen}, {")", Token::rparen},
    {"{", Token::lbrace},    {"}", Token::rbrace},    {">", Token::gt},     {"<", Token::lt},
    {"=", Token::assign},    {".", Token::dot},       {":", Token::colon},  {"|", Token::pipe},
    {",", Token::comma},     {";", Token::semicolon},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_base_digit(char c, int base) {
  if (base == 16) return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
  return c >= '0' && c < '0' + base;
}

class Lexer {
 public:
  explicit Lexer(std::string text) : text_(std::move(text)) {}
  std::vector<Lexeme> run();

 private:
  bool at(std::string_view what) const { return std::string_view(text_).substr(at_).starts_with(what); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  Position position(size_t at);
  void add(Token token, std::string text, size_t at) {
    lexemes_.push_back({token, std::move(text), position(at)});
  }
  [[noreturn]] void fail_at(size_t at, std::string message) {
    throw Failure{Cause::syntax, message, position(at)};
  }

  void data(size_t begin, size_t end, char sign, bool is_variable);
  void skip_space();
  size_t skip_space_from(size_t at) const;
  void comment(size_t begin);
  bool raw(size_t begin, size_t tag);
  size_t find_raw_end(size_t from, size_t& tag, char& sign) const;
  void expression(bool is_block, size_t begin);
  bool end_of_tag(bool is_block);
  void token();
  void number();
  void based_number(int base);
  void name();
  void string();
  void balance(Token token, size_t at);
  size_t digits(size_t from) const;

  std::string text_;
  size_t at_ = 0;
  bool line_starting_ = true;  // nothing but a tag's end stands before the data on its line
  std::vector<char> open_;     // closing brackets still awaited
  std::vector<Lexeme> lexemes_;
  size_t counted_ = 0;  // up to here the lines and columns are counted
  Position counted_to_{1, 1};
};

// Positions are asked for in ascending order but for errors, which may go back.
Position Lexer::position(size_t at) {
  if (at < counted_) {
    counted_ = 0;
    counted_to_ = {1, 1};
  }
  for (; counted_ < at; ++counted_) {
    const char c = text_[counted_];
    if (c == '\n')
      counted_to_ = {counted_to_.line + 1, 1};
    else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
      ++counted_to_.column;
  }
  return counted_to_;
}

size_t Lexer::skip_space_from(size_t at) const {
  while (at < text_.size()) {
    const CodePoint c = decode_utf8(text_, at);
    if (!is_space(c.value)) break;
    at += c.size;
  }
  return at;
}

void Lexer::skip_space() {
  at_ = skip_space_from(at_);
}

// The text before a tag: "-" strips all white space before it; otherwise, where only blanks stand between the
// beginning of the line and a block or comment, lstrip_blocks removes them unless "+" forbids.
void Lexer::data(size_t begin, size_t end, char sign, bool is_variable) {
  std::string_view piece = std::string_view(text_).substr(begin, end - begin);
  if (sign == '-') {
    piece = strip(piece, false, true);
  } else if (sign != '+' && !is_variable) {
    const size_t newline = piece.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if ((line > 0 || line_starting_) && line < piece.size() && strip(piece.substr(line), true, true).empty())
      piece = piece.substr(0, line);
  }
  if (!piece.empty()) add(Token::data, std::string(piece), begin);
}

std::vector<Lexeme> Lexer::run() {
  while (at_ < text_.size()) {
    const size_t begin = at_;
    size_t tag = begin;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= text_.size()) {
        tag = text_.size();
        break;
      }
      const char c = text_[tag + 1];
      if (c == '{' || c == '%' || c == '#') break;
      ++tag;
    }
    if (tag == text_.size()) {
      add(Token::data, text_.substr(begin), begin);
      break;
    }
    const char kind = text_[tag + 1];
    const char sign =
        tag + 2 < text_.size() && (text_[tag + 2] == '-' || text_[tag + 2] == '+') ? text_[tag + 2] : 0;
    at_ = tag;
    if (kind == '%' && raw(begin, tag)) continue;
    data(begin, tag, sign, kind == '{');
    at_ = tag + 2 + (sign ? 1 : 0);
    if (kind == '#') {
      comment(tag);
    } else {
      add(kind == '%' ? Token::block_begin : Token::variable_begin, "", tag);
      expression(kind == '%', tag);
    }
  }
  add(Token::eof, "", text_.size());
  return std::move(lexemes_);
}

void Lexer::comment(size_t begin) {
  const size_t end = text_.find("#}", at_);
  if (end == std::string::npos) fail_at(begin, "Missing end of comment tag");
  // The sign before "#}" belongs to it, unless it is the one after "{#".
  const char sign = end > at_ ? text_[end - 1] : 0;
  at_ = end + 2;
  if (sign == '-')
    skip_space();
  else if (sign != '+' && peek() == '\n')
    ++at_;
  line_starting_ = text_[at_ - 1] == '\n';
}

// "{% raw %}": what follows, up to "{% endraw %}", is data. False where the tag is another one.
bool Lexer::raw(size_t begin, size_t tag) {
  size_t at = tag + 2;
  const char sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at++] : char(0);
  at = skip_space_from(at);
  if (text_.compare(at, 3, "raw") != 0) return false;
  at = skip_space_from(at + 3);
  if (text_.compare(at, 3, "-%}") == 0)
    at = skip_space_from(at + 3);
  else if (text_.compare(at, 2, "%}") == 0)
    at += 2;
  else
    return false;
  data(begin, tag, sign, false);
  line_starting_ = text_[at - 1] == '\n';

  size_t end_tag = 0;
  char end_sign = 0;
  const size_t end = find_raw_end(at, end_tag, end_sign);
  if (end == std::string::npos) fail_at(tag, "Missing end of raw directive");
  data(at, end_tag, end_sign, false);
  line_starting_ = text_[end - 1] == '\n';
  at_ = end;
  return true;
}

size_t Lexer::find_raw_end(size_t from, size_t& tag, char& sign) const {
  for (tag = text_.find("{%", from); tag != std::string::npos; tag = text_.find("{%", tag + 1)) {
    size_t at = tag + 2;
    sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at++] : char(0);
    at = skip_space_from(at);
    if (text_.compare(at, 6, "endraw") != 0) continue;
    at = skip_space_from(at + 6);
    if (text_.compare(at, 3, "+%}") == 0) return at + 3;
    if (text_.compare(at, 3, "-%}") == 0) return skip_space_from(at + 3);
    if (text_.compare(at, 2, "%}") == 0) return at + 2 + (at + 2 < text_.size() && text_[at + 2] == '\n' ? 1 : 0);
  }
  return std::string::npos;
}

// Whether the tag ends here; if so, steps behind it and the white space that it takes along.
bool Lexer::end_of_tag(bool is_block) {
  const std::string_view end = is_block ? "%}" : "}}";
  if (peek() == '-' && std::string_view(text_).substr(at_ + 1).starts_with(end)) {
    at_ += 3;
    skip_space();
    return true;
  }
  if (is_block && at("+%}")) {
    at_ += 3;
    return true;
  }
  if (!at(end)) return false;
  at_ += 2;
  if (is_block && peek() == '\n') ++at_;  // trim_blocks
  return true;
}

void Lexer::expression(bool is_block, size_t) {
  while (true) {
    const size_t begin = at_;
    if (open_.empty() && at_ < text_.size() && end_of_tag(is_block)) {
      add(is_block ? Token::block_end : Token::variable_end, "", begin);
      line_starting_ = text_[at_ - 1] == '\n';
      return;
    }
    if (at_ >= text_.size()) return;  // the parser says what is missing
    const size_t after = skip_space_from(at_);
    if (after != at_)
      at_ = after;
    else
      token();
  }
}

size_t Lexer::digits(size_t from) const {  // (\d+_)*\d+
  size_t at = from;
  while (at < text_.size() && (is_digit(text_[at]) || (text_[at] == '_' && at > from && is_digit(text_[at - 1]) &&
                                                       at + 1 < text_.size() && is_digit(text_[at + 1]))))
    ++at;
  return at;
}

void Lexer::token() {
  const char c = peek();
  if (is_digit(c)) return number();
  if (c == '"' || c == '\'') return string();
  for (const Operator& op : operators)
    if (at(op.text)) {
      balance(op.token, at_);
      add(op.token, std::string(op.text), at_);
      at_ += op.text.size();
      return;
    }
  name();
}

void Lexer::balance(Token token, size_t at) {
  if (token == Token::lparen)
    open_.push_back(')');
  else if (token == Token::lbracket)
    open_.push_back(']');
  else if (token == Token::lbrace)
    open_.push_back('}');
  if (token != Token::rparen && token != Token::rbracket && token != Token::rbrace) return;
  const char close = text_[at];
  if (open_.empty()) fail_at(at, std::string("unexpected '") + close + "'");
  if (open_.back() != close)
    fail_at(at, std::string("unexpected '") + close + "', expected '" + open_.back() + "'");
  open_.pop_back();
}

void Lexer::based_number(int base) {
  size_t end = at_ + 2;
  std::string value;
  while (end < text_.size()) {
    if (text_[end] == '_' && end + 1 < text_.size() && is_base_digit(text_[end + 1], base)) ++end;
    if (!is_base_digit(text_[end], base)) break;
    value += text_[end++];
  }
  add(Token::integer, (base == 16 ? "0x" : base == 8 ? "0o" : "0b") + value, at_);
  at_ = end;
}

void Lexer::number() {
  const char marker = char(peek(1) | 0x20);
  const int base = peek() != '0' ? 0 : marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
  if (base != 0 && is_base_digit(peek(peek(2) == '_' ? 3 : 2), base)) return based_number(base);

  const size_t whole = digits(at_);
  size_t end = whole;
  bool is_real = false;
  if (at_ == 0 || text_[at_ - 1] != '.') {  // "x.1.5" is no float
    if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      end = digits(end + 1);
      is_real = true;
    }
    if (end < text_.size() && (text_[end] | 0x20) == 'e') {
      const size_t from =
          end + 1 + (end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-') ? 1 : 0);
      if (from < text_.size() && is_digit(text_[from])) {
        end = digits(from);
        is_real = true;
      }
    }
  }
  if (!is_real && text_[at_] == '0') {  // a number that begins with 0 is made of zeros
    end = at_ + 1;
    while (end < whole && (text_[end] == '0' || (text_[end] == '_' && text_[end + 1] == '0'))) ++end;
  }
  std::string value = text_.substr(at_, end - at_);
  value.erase(std::remove(value.begin(), value.end(), '_'), value.end());
  add(is_real ? Token::real : Token::integer, std::move(value), at_);
  at_ = end;
}

void Lexer::name() {
  const size_t begin = at_;
  while (at_ < text_.size()) {
    const CodePoint c = decode_utf8(text_, at_);
    if (!is_word(c.value)) break;
    at_ += c.size;
  }
  if (at_ == begin) {
    const CodePoint c = decode_utf8(text_, at_);
    fail_at(begin, "unexpected char '" + text_.substr(at_, c.size) + "' at " +
                       std::to_string(utf8_length(std::string_view(text_).substr(0, begin))));
  }
  std::string text = text_.substr(begin, at_ - begin);
  if (!is_identifier(text)) fail_at(begin, "Invalid character in identifier");
  add(Token::name, std::move(text), begin);
}

void Lexer::string() {
  const size_t begin = at_;
  const char quote = text_[at_];
  for (size_t i = at_ + 1; i < text_.size(); ++i) {
    if (text_[i] == '\\') {
      ++i;
    } else if (text_[i] == quote) {
      at_ = i + 1;
      const std::string_view body = std::string_view(text_).substr(begin + 1, i - begin - 1);
      try {
        add(Token::string, unescape_string_literal(body), begin);
      } catch (const Failure& failure) {
        fail_at(begin, failure.message);
      }
      return;
    }
  }
  fail_at(begin, std::string("unexpected char '") + (quote == '\'' ? "\\'" : "\"") + "' at " +
                     std::to_string(utf8_length(std::string_view(text_).substr(0, begin))));
}

}  // namespace

std::string_view describe(Token token) {
  static constexpr std::array<std::string_view, 35> names = {"template data / text",
                                                             "begin of print statement",
                                                             "end of print statement",
                                                             "begin of statement block",
                                                             "end of statement block",
                                                             "name",
                                                             "string",
                                                             "integer",
                                                             "float",
                                                             "+",
                                                             "-",
                                                             "/",
                                                             "//",
                                                             "*",
                                                             "%",
                                                             "**",
                                                             "~",
                                                             "[",
                                                             "]",
                                                             "(",
                                                             ")",
                                                             "{",
                                                             "}",
                                                             "==",
                                                             "!=",
                                                             ">",
                                                             ">=",
                                                             "<",
                                                             "<=",
                                                             "=",
                                                             ".",
                                                             ":",
                                                             "|",
                                                             ",",
                                                             ";"};
  return token == Token::eof ? "end of template" : names[size_t(token)];
}

std::vector<Lexeme> tokenize(std::string_view source) {
  return Lexer(normalize_newlines(is_utf8(source) ? std::string(source) : replace_invalid_utf8(source))).run();
}

}  // namespace chorus::jinja
