#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/failure.h"

namespace chorus::jinja {

enum class Token : uint8_t {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  add,
  sub,
  div,
  floordiv,
  mul,
  mod,
  pow,
  tilde,
  lbracket,
  rbracket,
  lparen,
  rparen,
  lbrace,
  rbrace,
  eq,
  ne,
  gt,
  gteq,
  lt,
  lteq,
  assign,
  dot,
  colon,
  pipe,
  comma,
  semicolon,
  eof,
};

/// What Jinja2 calls it in its messages: "end of print statement", "(", ...
std::string_view describe(Token token);

struct Lexeme {
  Token token;
  std::string text;  ///< data and names as they are, a string's value, a number's digits without underscores
  Position where;
};

/// Cuts a template into tokens, with trim_blocks and lstrip_blocks on as for chat templates: whitespace control,
/// comments and raw blocks end here. The last token is eof. Throws Cause::syntax.
std::vector<Lexeme> tokenize(std::string_view source);

}  // namespace chorus::jinja
