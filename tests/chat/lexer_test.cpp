#include "chat/lexer.h"

#include <gtest/gtest.h>

#include "chat/string_literal.h"

namespace chorus::jinja {
namespace {

std::string tokens_of(std::string_view source) {
  std::string out;
  try {
    for (const Lexeme& lexeme : tokenize(source)) {
      if (lexeme.token == Token::eof) break;
      if (!out.empty()) out += ' ';
      const bool has_value = lexeme.token == Token::data || lexeme.token == Token::name ||
                             lexeme.token == Token::string || lexeme.token == Token::integer ||
                             lexeme.token == Token::real;
      if (lexeme.token == Token::data)
        out += "data";
      else if (lexeme.token == Token::block_begin)
        out += "{%";
      else if (lexeme.token == Token::block_end)
        out += "%}";
      else if (lexeme.token == Token::variable_begin)
        out += "{{";
      else if (lexeme.token == Token::variable_end)
        out += "}}";
      else
        out += describe(lexeme.token);
      if (has_value) out += "<" + lexeme.text + ">";
    }
  } catch (const Failure& failure) {
    return failure.message + " at " + std::to_string(failure.where.line) + ":" +
           std::to_string(failure.where.column);
  }
  return out;
}

struct Case {
  const char* why;
  std::string source, tokens;
};

const Case cases[] = {
    {"text alone", "a { b } c", "data<a { b } c>"},
    {"one newline at the end is dropped", "a\n\n", "data<a\n>"},
    {"carriage returns are newlines", "a\r\nb\rc", "data<a\nb\nc>"},
    {"a print", "a{{ x }}b", "data<a> {{ name<x> }} data<b>"},
    {"minus strips around", "a \n {{- x -}} \n b", "data<a> {{ name<x> }} data<b>"},
    {"blanks before a block on its own line go", "a\n  {% x %}\nb", "data<a\n> {% name<x> %} data<b>"},
    {"but not before a print", "a\n  {{ x }}", "data<a\n  > {{ name<x> }}"},
    {"plus keeps them", "a\n  {%+ x +%}\nb", "data<a\n  > {% name<x> %} data<\nb>"},
    {"a comment strips like a block", "a\n  {# c #}\nb", "data<a\n> data<b>"},
    {"a comment's minus", "a {#- c -#} b", "data<a> data<b>"},
    {"raw text", "{% raw %}{{ x }}{% endraw %}", "data<{{ x }}>"},
    {"raw with minus", "a {%- raw -%} b {%- endraw -%} c", "data<a> data<b> data<c>"},
    {"numbers", "{{ 1 1.5 1e3 0x1F 0b11 0o17 1_000 }}",
     "{{ integer<1> float<1.5> float<1e3> integer<0x1F> integer<0b11> integer<0o17> integer<1000> }}"},
    {"a float needs digits on both sides", "{{ 1.x }}", "{{ integer<1> . name<x> }}"},
    {"no float behind a dot", "{{ x.1.5 }}", "{{ name<x> . integer<1> . integer<5> }}"},
    {"strings", R"({{ 'a' "b\n" 'it\'s' }})", "{{ string<a> string<b\n> string<it's> }}"},
    {"a brace inside brackets ends nothing", "{{ {'a':{}} }}", "{{ { string<a> : { } } }}"},
    {"longest operator first", "{{ a//b**c<=d }}", "{{ name<a> // name<b> ** name<c> <= name<d> }}"},
    {"names of any script", "{{ größe }}", "{{ name<größe> }}"},
    {"an unknown character", "ab\n{{ a ? b }}", "unexpected char '?' at 8 at 2:6"},
    {"an open comment", "{# c", "Missing end of comment tag at 1:1"},
    {"an open raw block", "{% raw %} x", "Missing end of raw directive at 1:1"},
    {"an open string", "{{ 'a }}", "unexpected char '\\'' at 3 at 1:4"},
    {"the wrong bracket", "{{ (a] }}", "unexpected ']', expected ')' at 1:6"},
    {"a tag that is never closed is the parser's matter", "{{ a", "{{ name<a>"},
    {"no end of tag after a brace", "{", "data<{>"},
};

TEST(Lexer, CutsAsJinja2Does) {
  for (const Case& c : cases) EXPECT_EQ(tokens_of(c.source), c.tokens) << c.why;
}

TEST(Lexer, CountsLinesAndColumnsInCharacters) {
  const auto lexemes = tokenize("é{{ a\n  + 'ü' + b }}");
  EXPECT_EQ(lexemes[2].where.column, 5) << "a";
  const Lexeme& last_name = lexemes[6];
  EXPECT_EQ(last_name.text, "b");
  EXPECT_EQ(last_name.where.line, 2);
  EXPECT_EQ(last_name.where.column, 11);
}

TEST(StringLiteral, ResolvesEscapes) {
  struct Row {
    const char *why, *body, *value;
  };
  const Row rows[] = {
      {"control characters", R"(\a\b\f\n\r\t\v)", "\a\b\f\n\r\t\v"},
      {"hexadecimal", R"(\x41\u00e9\U0001F600)", "Aé😀"},
      {"octal ends after three digits", R"(\1012)", "A2"},
      {"a name", R"(\N{BULLET}\N{bullet})", "••"},
      {"unknown escapes stay", R"(\q\))", R"(\q\))"},
      {"a line's end disappears", "a\\\nb", "ab"},
      {"a backslash before what is not ASCII protects its escape", "\\é", "\\xe9"},
  };
  for (const Row& row : rows) EXPECT_EQ(unescape_string_literal(row.body), row.value) << row.why;
  for (const char* broken : {"\\x4", "\\u12", "\\N{NO SUCH NAME}", "\\ud800", "\\U00110000"})
    EXPECT_THROW(unescape_string_literal(broken), Failure) << broken;
}

}  // namespace
}  // namespace chorus::jinja
