#include <gtest/gtest.h>

#include <thread>

#include "chat/chat_template.h"
#include "render.h"

namespace chorus::jinja {
namespace {

std::string repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

struct Hostile {
  const char* why;
  std::string source;
  const char* words;  // part of the error
};

const Hostile hostile[] = {
    {"endless recursion of a macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested calls"},
    {"two macros", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
     "nested calls"},
    {"recursion through arguments", "{% macro m(x) %}{% set y = m(x) %}{% endmacro %}{{ m(1) }}", "nested calls"},
    {"recursion through caller", "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
     "nested calls"},
    {"recursive loop", "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested calls"},
    {"nested loops",
     "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% "
     "endfor %}",
     "steps"},
    {"a huge range", "{{ range(1000000)|list }}", "Range too big"},
    {"a huge string", "{{ 'x' * 10**12 }}", "bytes in one string"},
    {"a huge list", "{{ [1] * 10**12 }}", "bytes in one string"},
    {"a huge output", "{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}", "bytes in one string"},
    {"a huge width", "{{ '%9999999999d' % 1 }}", "width too big"},
    {"a huge field", "{{ '{:>2000000000}'.format(1) }}", "bytes in one string"},
    {"a huge indent", "{{ 'a\\nb'|indent(10**10) }}", "bytes in one string"},
    {"center", "{{ 'a'.center(10**11) }}", "bytes in one string"},
    {"memory that stays alive",
     "{% set n = namespace(l=[]) %}{% for i in range(100000) %}{% set n.l = n.l + [('x' * 1000000) ~ i] %}{% "
     "endfor %}",
     "bytes of memory"},
    {"doubling", "{% set n = namespace(s='x') %}{% for i in range(100) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
     "bytes in one string"},
    {"a shared structure printed",
     "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
     "limit"},
    {"a shared structure compared",
     "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% set n.m = [n.m, "
     "n.m] %}{% endfor %}{{ n.l == n.m }}",
     "steps"},
    {"a deep value printed",
     "{% set n = namespace(l=[]) %}{% for i in range(100000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
     "nested calls"},
    {"a deep value as JSON",
     "{% set n = namespace(l=[]) %}{% for i in range(100000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l|tojson }}",
     "nested calls"},
    {"a big power", "{{ 10 ** (10 ** 10) }}", "bits in an integer"},
    {"powers of powers", "{{ 9**9**9**9**9**9 }}", "bits in an integer"},
    {"nested parentheses", "{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}", "nested too deeply"},
    {"nested lists", "{{ " + repeat("[", 100000) + repeat("]", 100000) + " }}", "nested too deeply"},
    {"many nots", "{{ " + repeat("not ", 100000) + "1 }}", "nested too deeply"},
    {"many minuses", "{{ " + repeat("- ", 100000) + "1 }}", "nested too deeply"},
    {"a long difference", "{{ 1" + repeat("-1", 100000) + " }}", "nested too deeply"},
    {"a long chain of attributes", "{{ a" + repeat(".b", 100000) + " }}", "nested too deeply"},
    {"a long chain of filters", "{{ a" + repeat("|e", 100000) + " }}", "nested too deeply"},
    {"a long chain of conditions", "{{ 1" + repeat(" if 1 else 2", 100000) + " }}", "nested too deeply"},
    {"nested ifs", repeat("{% if 1 %}", 100000), "nested too deeply"},
    {"nested fors", repeat("{% for i in [1] %}", 100000), "nested too deeply"},
    {"nested targets", "{% set " + repeat("(", 100000) + "a", "nested too deeply"},
    {"attributes of objects", "{{ ''.__class__.__mro__ }}", "unsafe"},
    {"through format", "{{ '{0.__class__.__mro__}'.format(1) }}", "unsafe"},
    {"through attr", "{{ (''|attr('__class__'))() }}", "unsafe"},
    {"changing a list", "{% set l = [] %}{{ l.append(1) }}", "unsafe"},
    {"changing a dict", "{{ {}.update({}) }}", "unsafe"},
};

TEST(Sandbox, EndsWhatIsHostile) {
  for (const Hostile& h : hostile) {
    const std::string result = render(h.source);
    EXPECT_TRUE(result.starts_with("error: ") && result.find(h.words) != std::string::npos)
        << h.why << ": " << result.substr(0, 200);
  }
}

TEST(Sandbox, LetsThroughWhatIsOnlyLarge) {
  EXPECT_EQ(render("{{ 'x' * 1000000 }}").size(), 1000000u);
  EXPECT_EQ(render(repeat("{{ 1 }}", 20000)).size(), 20000u);
  EXPECT_EQ(render("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% else %}x{% endif %}"), "x");
  EXPECT_EQ(render("{{ " + repeat("'a' ~ ", 5000) + "'b' }}").size(), 5001u);
  EXPECT_EQ(render("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}x{% endmacro %}{{ m(150) }}"),
            std::string(151, 'x'));
  EXPECT_EQ(render("{% set n = namespace(s='') %}{% for i in range(20000) %}{% set n.s = n.s + 'abc' %}{% endfor "
                   "%}{{ n.s|length }}"),
            "60000");
}

TEST(Sandbox, FreesLongChainsAndCyclesWithoutRecursion) {
  EXPECT_EQ(render("{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set n = namespace() %}{% set n.me = n %}{% set n.l = [n, namespace(up=n)] %}ok"), "ok");
  EXPECT_EQ(render("{% set n = namespace() %}{% for i in [1] %}{% set n.loop = loop %}{{ loop.changed(loop) }}{% "
                   "endfor %}{{ n.loop.index }}"),
            "True1");
  EXPECT_EQ(render("{% set n = namespace() %}{% macro m() %}{% macro k() %}{{ n.x }}{% endmacro %}{% set n.k = k "
                   "%}{% endmacro %}{{ m() }}{{ n.k() }}"),
            "");
}

TEST(Sandbox, BoundsCanBeChosen) {
  EXPECT_EQ(render("{% for i in range(1000) %}{% endfor %}", "{}", {.steps = 100}),
            "error: the template uses more steps than the limit of 100");
  EXPECT_EQ(render("{{ 'abc' * 10 }}", "{}", {.string_bytes = 20}),
            "error: the template uses more bytes in one string than the limit of 20");
}

TEST(Sandbox, EndsBeforeTheStackOfAThreadDoes) {
  const std::string endless = "{% macro m(n) %}{{ [m(n + 1)]|join|upper }}{% endmacro %}{{ m(0) }}";
  EXPECT_TRUE(render(endless).find("nested calls") != std::string::npos);
  EXPECT_TRUE(render(endless, "{}", {.stack_bytes = 100'000}).find("nested calls") != std::string::npos);
  EXPECT_EQ(render("{{ [[[1]]] }}", "{}", {.stack_bytes = 100'000}), "[[[1]]]");
}

TEST(Sandbox, SurvivesEveryPrefixOfATemplate) {
  const std::string source =
      "{%- macro m(a, b=[1, {'k': -2.5e3}]) -%}{{ a|join(', ') ~ \"\\u00e9\" }}{%- endmacro %}\n{# c #}{% raw "
      "%}{{{% endraw %}"
      "{% for k, v in d.items() if v is not none %}{{ loop.index0 }}{% else %}x{% endfor %}{% set ns.x = "
      "a[1:-1:2] %}"
      "{% call(x) m(*y, **z) %}{% endcall %}{% filter upper %}t{% endfilter %}{{ 'a' if b not in c else (1,) }}";
  for (size_t n = 0; n <= source.size(); ++n) render(source.substr(0, n));
  for (size_t n = 0; n <= source.size(); ++n) render(source.substr(n));
  for (size_t n = 0; n < source.size(); ++n) {
    std::string changed = source;
    changed[n] = char(0x80 | n);
    render(changed);
    changed[n] = '\0';
    render(changed);
  }
}

TEST(Template, RendersInManyThreadsAtOnce) {
  const auto templates = chat::ChatTemplates::from_source(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m.content|length %}"
      "{{ '<' + m.role + '>' + m.content + ('é' if loop.last else '') }}{{ ns.nope.x if false }}{% endfor %}{{ "
      "ns.n }}");
  std::vector<std::thread> threads;
  std::vector<std::string> wrong(8);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      const std::string name = "user" + std::to_string(t);
      for (int i = 0; i < 500; ++i) {
        const std::string text = templates.render(
            std::vector<Message>{{.role = name, .content = "hello"}, {.role = "b", .content = std::string("w")}},
            {});
        if (text != "<" + name + ">hello<b>wé6") wrong[t] = text;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : wrong) EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace chorus::jinja
