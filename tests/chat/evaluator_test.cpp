#include <gtest/gtest.h>

#include "render.h"

namespace chorus::jinja {
namespace {

struct Case {
  const char* why;
  std::string source, output;
  std::string variables = "{}";
};

void expect_all(std::span<const Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(render(c.source, c.variables), c.output) << c.why << "\n" << c.source;
}

const Case scopes[] = {
    {"a loop's variables do not leave it",
     "{% set x = 0 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}|{{ x }}", "12|0"},
    {"each turn starts from outside", "{% set x = 'o' %}{% for i in [1,2] %}{{ x }}{% set x = i %}{% endfor %}",
     "oo"},
    {"if has no scope", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "1"},
    {"a branch not taken leaves the caller's variable", "{% if false %}{% set x = 1 %}{% endif %}{{ x }}", "v",
     R"({"x":"v"})"},
    {"read before it is set: the caller's", "{{ x }}{% set x = 1 %}{{ x }}", "v1", R"({"x":"v"})"},
    {"a macro sees later values of outer names",
     "{% set q = 1 %}{% macro m() %}{{ q }}{% endmacro %}{% set q = 2 %}{{ m() }}", "2"},
    {"a macro's names are its own",
     "{% set q = 1 %}{% macro m() %}{% set q = 5 %}{{ q }}{% endmacro %}{{ m() }}{{ q }}", "51"},
    {"macros call macros defined later",
     "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "AB"},
    {"a namespace carries values out",
     "{% set n = namespace(c=0) %}{% for i in [1,2,3] %}{% set n.c = n.c + i %}{% endfor %}{{ n.c }}", "6"},
    {"with", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "211"},
    {"a set block is a scope", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}", "1False"},
    {"generation is a scope", "{% generation %}{% set y = 1 %}{{ y }}{% endgeneration %}{{ y is defined }}",
     "1False"},
    {"a call block sees what is around",
     "{% macro m() %}<{{ caller(2) }}>{% endmacro %}{% set z = 1 %}{% call(v) m() %}{{ v + z }}{% endcall %}",
     "<3>"},
    {"nested functions three deep",
     "{% macro a(x) %}{% macro b(y) %}{% macro c(z) %}{{ x ~ y ~ z }}{% endmacro %}{{ c(3) }}{% endmacro %}{{ "
     "b(2) }}{% endmacro %}{{ a(1) }}{{ a(7) }}",
     "123723"},
    {"a macro made in a loop outlives it, the loop's variables do not",
     "{% set n = namespace(m=none) %}{% for i in [1,2] %}{% set x = i %}{% macro g() %}[{{ x }}]{% endmacro %}"
     "{% set n.m = g %}{% endfor %}{{ n.m() }}",
     "[]"},
    {"loop of the outer for through a name",
     "{% for i in [1,2] %}{% set o = loop %}{% for j in [1] %}{{ o.index }}{% endfor %}{% endfor %}", "12"},
    {"a loop's condition is evaluated lazily",
     "{% set n = namespace(stop=false) %}{% for i in [1,2,3] if not n.stop %}{{ i }}{% if i == 2 %}{% set n.stop "
     "= true %}{% endif %}{% endfor %}",
     "12"},
    {"recursive loops",
     "{% for n in t recursive %}{{ n.v }}{{ loop.depth }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}",
     "a1(b2c2(d3))e1", R"({"t":[{"v":"a","c":[{"v":"b"},{"v":"c","c":[{"v":"d"}]}]},{"v":"e"}]})"},
    {"blocks", "{% set x = 1 %}{% block b %}in{{ x }}{% endblock %}{{ self.b() }}", "in1in1"},
};
TEST(Evaluator, Scopes) {
  expect_all(scopes);
}

const Case strings[] = {
    {"characters, not bytes", "{{ s|length }}{{ s[1] }}{{ s[-1] }}{{ s[::-1] }}{{ s.find('l') }}", "5äoollä h3",
     R"({"s":"hä llo"})"},
    {"Python's repr", R"({{ ["it's", 'q"q', "\u200b", "\x7f", "é"] }})",
     R"(["it's", 'q"q', '\u200b', '\x7f', 'é'])"},
    {"split keeps what follows the limit", "{{ ' a b  c '.split(none, 1) }}", "['a', 'b  c ']"},
    {"final sigma", "{{ 'ΣΑΣ ΟΔΟΣ'.lower() }}", "σας οδος"},
    {"format with nested width", "{{ '{:>{}}'.format('a', 4) }}|{{ '{0[k]}'.format({'k': 1}) }}", "   a|1"},
    {"percent with a mapping", "{{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }}", "x-007"},
    {"markup escapes what is added", "{{ ('<b>'|safe) + '<i>' }}", "<b>&lt;i&gt;"},
    {"join of markup with plain text stays plain", "{{ ['<', '>'|safe]|join('&') }}", "<&>"},
};
TEST(Evaluator, Strings) {
  Case fixed = strings[0];
  fixed.output = "6äooll äh3";
  EXPECT_EQ(render(fixed.source, fixed.variables), fixed.output);
  expect_all(std::span(strings).subspan(1));
}

// Found by tests/differential/jinja.
const Case differed[] = {
    {"a namespace of something undefined", "{% set n = namespace(nope) %}", "error: 'nope' is undefined"},
    {"a dict of something undefined", "{{ dict(nope) }}", "error: 'nope' is undefined"},
    {"a call block's macro has no name",
     "{% macro m() %}{{ caller.name }}{{ kwargs }}{% endmacro %}{% macro k() %}{{ kwargs }}{% endmacro %}"
     "{% call k() %}{% endcall %}",
     "{'caller': <Macro anonymous>}"},
    {"a slice of what has none", "{{ ((range(5)).index(1))[:] }}", "error: 'int' object is not subscriptable"},
    {"a slice in a printed constant is evaluated early", "<{{ (5)[:] }}{{ ('ab'|length)[1:] ~ {}[:] }}>", "<>"},
    {"not so elsewhere", "{% set x = (5)[:] %}", "error: 'int' object is not subscriptable"},
    {"nor beside a variable", "{{ [x, (5)[:]] }}", "error: 'int' object is not subscriptable"},
    {"a filter block that gives no string", "{% filter length %}abc{% endfilter %}",
     "error: expected str instance, int found"},
    {"a set block's filter must be known", "{% if false %}{% set v|nosuch %}{% endset %}{% endif %}",
     "error: No filter named 'nosuch'."},
    {"what a loop that is not run iterates need not be",
     "{% if false %}{% for i in l|nosuch %}{% endfor %}{% endif %}", ""},
    {"unique of what cannot be iterated, never asked for", "{% set x = 5|unique %}ok", "ok"},
    {"the characters of markup are plain", "{{ ('<'|escape)|list }}", "['&', 'l', 't', ';']"},
    {"JSON in ASCII has no DEL", "{{ s|tojson(ensure_ascii=true) }}", R"("a\u007f\u00e9")", R"({"s":"a\u007fé"})"},
    {"% with something undefined", "{{ '%%' % nope }}{{ 'a' % range(3) }}", "%a"},
    {"a condition makes tuples of what is unpacked",
     "{% for i, j in [[1, 2], [3, 4]] if i %}{{ loop.nextitem }}{% endfor %}", "(3, 4)"},
    {"of keys, too", "{% for i, j in [{'a': 1, 'b': 2}, {'a': 3, 'b': 4}] if i %}{{ loop.previtem }}{% endfor %}",
     "('a', 'b')"},
    {"a slice of a dict", "{{ d[:] }}", "error: 'dict' object is not subscriptable", R"({"d":{}})"},
    {"bounds that are no integers", "{{ s['x':] }}",
     "error: slice indices must be integers or None or have an __index__ method", R"({"s":"ab"})"},
    {"sorting by something undefined", "{{ [2, 1]|sort(nope) }}", "error: 'nope' is undefined"},
    {"equal keys are not compared by <", "{{ [a, b]|sort }}{{ [2, 1]|sort(attribute=nope) }}",
     "[Undefined, Undefined][2, 1]"},
    {"wordwrap of a list", "{{ [1]|wordwrap }}", "error: 'list' object has no attribute 'splitlines'"},
    {"wordwrap of something undefined", "{{ nope|wordwrap }}", "error: 'nope' is undefined"},
    {"wordwrap with something undefined", "{{ 'a'|wordwrap(3, true, nope) }}", "error: 'nope' is undefined"},
};
TEST(Evaluator, WhatDifferedFromPython) {
  expect_all(differed);
}

const Case sums[] = {
    {"strings", "<{{ a + 'b' + a }}>", "<xbx>", R"({"a":"x"})"},
    {"numbers", "{{ 1 + 2 + n }}{{ 1.5 + 1 }}", "62.5", R"({"n":3})"},
    {"lists", "{{ [1] + [2] + l }}", "[1, 2, 3]", R"({"l":[3]})"},
    {"a string and a number", "a{{ 'x' + 1 }}", "error: "},
    {"the third is no string", "a{{ 'x' + 'y' + none }}", "error: "},
    {"undefined", "{{ 'x' + nope }}", "error: "},
    {"markup in the middle escapes both sides", "{{ '<' + '>' + ('<b>'|safe) + '<' }}", "&lt;&gt;<b>&lt;"},
    {"markup first", "{{ ('<b>'|safe) + '<' + 'x' }}", "<b>&lt;x"},
    {"the sum of a product", "{{ 'ab' * 2 + 'c' }}{{ 'a' + 'b' * 2 }}", "ababcabb"},
    {"many parts",
     "{{ 'a' + 'b' + 'c' + 'd' + 'e' + 'f' + 'g' + 'h' + 'i' + 'j' + 'k' + 'l' + 'm' + 'n' + 'o' + 'p' + 'q' + "
     "'r' }}",
     "abcdefghijklmnopqr"},
    {"into a block", "{% set x %}{{ 'a' + 'b' }}{% endset %}{{ x }}", "ab"},
    {"escaped where the template asks", "{% autoescape true %}{{ '<' + '>' }}{% endautoescape %}", "&lt;&gt;"},
};
TEST(Evaluator, PrintsSums) {
  for (const Case& c : sums) {
    const std::string text = render(c.source, c.variables);
    if (c.output == "error: ")
      EXPECT_TRUE(text.starts_with("error: ")) << c.why << ": " << text;
    else
      EXPECT_EQ(text, c.output) << c.why << "\n" << c.source;
  }
}

const Case numbers[] = {
    {"integers have no bound", "{{ 2**100 }} {{ 2**100 // 3**20 }} {{ -(2**70) % 1000 }}",
     "1267650600228229401496703205376 363558641556578823726 576"},
    {"and come back", "{{ 2**64 - 2**64 + 5 }} {{ (2**80)|string|length }} {{ 2**63 == 2.0**63 }}", "5 25 True"},
    {"a float near a big integer", "{{ 2**53 + 1 == 2.0**53 }} {{ 2**53 + 1 > 2.0**53 }}", "False True"},
    {"floor division rounds down", "{{ -7 // 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7.5 // -2 }}", "-4 -4 2 -4.0"},
    {"shortest floats", "{{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 5e-324 }} {{ 1/3 }}",
     "0.30000000000000004 1e+16 1000000000000000.0 5e-324 0.3333333333333333"},
    {"JSON's big integers", "{{ n }} {{ n + 1 }}", "18446744073709551615 18446744073709551616",
     R"({"n":18446744073709551615})"},
    {"rounding", "{{ 2.675|round(2) }} {{ 0.5|round }} {{ 25|round(-1) }} {{ 35|round(-1) }}", "2.67 0.0 20 40"},
};
TEST(Evaluator, Numbers) {
  expect_all(numbers);
}

const Case generators[] = {
    {"a generator is used up", "{% set g = [1,2]|map('string') %}{{ g|list }}{{ g|list }}", "['1', '2'][]"},
    {"first takes one", "{% set g = [1,2,3]|select('odd') %}{{ g|first }}{{ g|list }}", "1[3]"},
    {"nothing is evaluated before it is asked for", "{% set g = [1]|map('nosuch') %}ok", "ok"},
    {"loop.length over a generator",
     "{% for i in 'abc'|map('upper') %}{{ i }}{{ loop.length }}{{ loop.revindex }}{% endfor %}", "A33B32C31"},
};
TEST(Evaluator, Generators) {
  expect_all(generators);
}

TEST(Evaluator, ErrorsSayWhatAndWhere) {
  struct Row {
    const char *why, *source, *problem, *facts;
  };
  const Row rows[] = {
      {"syntax", "line\n  {% if %}", "Expected an expression, got 'end of statement block'",
       "kind: syntax error; template: test; line: 2; column: 9"},
      {"raised in a macro", "{% macro m() %}\n{{ raise_exception('own words: ' ~ 7) }}{% endmacro %}{{ m() }}",
       "own words: 7", "kind: raised by the template; template: test; line: 2; column: 19"},
      {"undefined attribute", "a\nb {{ x.y.z }}", "'x' is undefined",
       "kind: undefined value; template: test; line: 2; column: 7"},
      {"type", "{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'",
       "kind: type error; template: test; line: 1; column: 6"},
      {"sandbox", "{{ [].append(1) }}", "access to attribute 'append' of 'list' object is unsafe.",
       "kind: forbidden by the sandbox; template: test; line: 1; column: 13"},
      {"unknown filter, before anything runs", "{{ raise_exception('no') }}{{ 1|nosuch }}",
       "No filter named 'nosuch'.", "kind: syntax error; template: test; line: 1; column: 33"},
      {"nesting mistake", "{% for i in [] %}{% endif %}",
       "Encountered unknown tag 'endif'. Jinja was looking for the following tags: 'endfor' or 'else'. The "
       "innermost "
       "block that needs to be closed is 'for'.",
       "kind: syntax error; template: test; line: 1; column: 21"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(render(row.source), std::string("error: ") + row.problem) << row.why;
    EXPECT_EQ(facts_of_error(row.source), row.facts) << row.why;
  }
}

TEST(Evaluator, UnknownFiltersInConditionsFailOnlyWhenUsed) {
  EXPECT_EQ(render("{% if false %}{{ 1|nosuch }}{% endif %}ok"), "ok");
  EXPECT_EQ(render("{{ 1 if true else 2|nosuch }}"), "1");
  EXPECT_EQ(render("{% if true %}{{ 1|nosuch }}{% endif %}"), "error: No filter named 'nosuch' found.");
}

}  // namespace
}  // namespace chorus::jinja
