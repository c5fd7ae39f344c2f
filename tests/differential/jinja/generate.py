"""Random templates from a grammar, and random contexts. Everything follows from the random generator given."""
import string

NAMES = ["a", "b", "c", "n", "f", "s", "t", "l", "d", "m", "nope"]
STRINGS = ["", "x", "Hello World", " pad ", "a,b,c", "line\\nnext", "grüße", "日本", "<b>&", "it's", "%s", "3", "-4.5"]
NUMBERS = ["0", "1", "2", "-3", "7", "10", "1.5", "-0.25", "1e3", "100000000000000000000", "2.0"]
FILTERS = ["upper", "lower", "trim", "title", "capitalize", "length", "string", "list", "first", "last", "int", "float",
           "abs", "round", "round(1)", "round(1, 'floor')", "sort", "sort(reverse=true)", "reverse", "unique", "join",
           "join(', ')", "join('-', attribute='k')", "map('string')|list", "map('upper')|list", "map(attribute='k')|list",
           "map(attribute='k', default=0)|list", "select|list", "select('odd')|list", "reject('none')|list",
           "select('string')|list", "selectattr('k')|list", "rejectattr('k', 'defined')|list", "default('dv')",
           "default('dv', true)", "replace('a', 'b')", "replace('l', '', 1)", "tojson", "tojson(indent=2)",
           "tojson(sort_keys=true)", "items|list", "dictsort", "dictsort(by='value')", "batch(2)|list", "batch(2, 0)|list",
           "slice(2)|list", "slice(3, 'z')|list", "sum", "sum(start=5)", "max", "min", "indent", "indent(2, true)",
           "indent('> ', blank=true)", "truncate(5)", "truncate(5, true, '..', 0)", "wordcount", "wordwrap(4)", "center(9)",
           "escape", "e", "safe", "striptags", "urlencode", "groupby('k')|list", "filesizeformat", "attr('k')", "format(1)",
           "xmlattr", "forceescape", "count"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence",
         "iterable", "odd", "even", "divisibleby(2)", "divisibleby 3", "callable", "true", "false", "lower", "upper",
         "eq 1", "ne('x')", "gt 1", "lt(2)", "ge 1", "le 1", "in [1, 'x']", "sameas none", "escaped"]
METHODS = ["upper()", "lower()", "strip()", "lstrip('x ')", "rstrip()", "split()", "split(',')", "split('l', 1)",
           "rsplit(',', 1)", "splitlines()", "startswith('H')", "endswith(('d', 'x'))", "replace('l', 'L')", "find('l')",
           "rfind('z')", "count('l')", "title()", "capitalize()", "swapcase()", "isdigit()", "isalpha()", "isspace()",
           "isupper()", "join(['p', 'q'])", "zfill(6)", "center(7, '*')", "ljust(4)", "partition(',')", "format(1, x=2)",
           "items()|list", "keys()|list", "values()|list", "get('k')", "get('z', 5)", "index('l')", "index(1)", "copy()",
           "removeprefix('He')", "removesuffix('d')", "expandtabs()", "casefold()", "append(1)", "pop()", "k", "real"]

# What mostly works: a value, then filters and methods made for its kind.
KINDS = {
    "string": (["s", "'Hello World'", "' a-b c '", "(s ~ 'x')", "'grüße 日本'", "'1,2,3'", "'<b>'"],
               ["upper", "lower", "trim", "title", "capitalize", "length", "list", "first", "last", "int", "float", "reverse",
                "unique|list", "join('.')", "replace('l', 'L', 1)", "tojson", "indent(2, true)", "indent('> ')", "truncate(7)",
                "truncate(5, true, '..', 0)", "wordcount", "wordwrap(4)", "center(15)", "escape", "striptags", "urlencode",
                "batch(3)|list", "slice(3)|list", "sort|join", "default('d')", "string", "format", "max", "count"],
               [m for m in METHODS if not m.startswith(("items", "keys", "values", "get", "append", "pop", "k", "real", "copy"))]),
    "number": (["n", "7", "-3", "1.5", "(n * 2.5)", "(n + 1)", "2**70", "(10 // 3)", "(-7 % 3)", "0.1"],
               ["abs", "round", "round(1)", "round(2, 'ceil')", "round(0, 'floor')", "int", "float", "string", "tojson",
                "filesizeformat", "filesizeformat(true)", "default(1)", "string|length"], ["real"]),
    "list": (["m", "[3, 1, 2]", "['b', 'a', 'C']", "range(5)", "l", "[1, 'x', none]", "[[1, 2], [0, 3]]", "(1, 2)"],
             ["length", "first", "last", "list", "sort", "sort(reverse=true)", "sort(case_sensitive=true)", "reverse|list",
              "unique|list", "join(', ')", "sum", "max", "min", "map('string')|list", "map('string')|map('upper')|join('+')",
              "select('odd')|list", "reject('none')|list", "select('string')|list", "batch(2, 0)|list", "slice(2)|list",
              "tojson", "tojson(indent=2)", "string", "groupby(0)|list", "map('tojson')|join", "selectattr('k')|list",
              "map(attribute='k', default='-')|list", "groupby('z')|list", "sort(attribute='z')|list", "sum(attribute='z')"],
             ["count(1)", "index(1)", "copy()"]),
    "dict": (["d", "{'k': 1, 'z': 'y'}", "{'a': [1, {'b': none}], 'é': 1.0}", "dict(k=s, z=n)"],
             ["length", "list", "items|list", "dictsort", "dictsort(reverse=true)", "tojson", "tojson(indent=1, sort_keys=true)",
              "first", "join(',')", "string", "sort", "map('upper')|list", "xmlattr", "default({})"],
             ["items()|list", "keys()|list", "values()|list", "get('k')", "get('q', 5)", "k", "z", "copy()"]),
}


class Generator:
    def __init__(self, rng):
        self.rng, self.depth, self.loops, self.names = rng, 0, 0, list(NAMES)

    def pick(self, items):
        return self.rng.choice(items)

    def literal(self):
        r = self.rng.random()
        if r < 0.4:
            return "'" + self.pick(STRINGS).replace("'", "\\'") + "'"
        if r < 0.75:
            return self.pick(NUMBERS)
        return self.pick(["none", "true", "false", "True", "None", "[]", "{}", "()"])

    def slice(self):
        part = lambda: self.pick(["", "", "0", "1", "2", "-1", "-2", "n", "100"])
        return part() + ":" + part() + self.pick(["", "", ":", ":1", ":2", ":-1", ":-2"])

    def kindly(self):
        values, filters, methods = KINDS[self.pick(list(KINDS))]
        value = self.pick(values)
        form = self.rng.randrange(7)
        if form < 3:
            return f"{value}|{self.pick(filters)}"
        if form < 5:
            return f"({value}).{self.pick(methods)}"
        if form == 5:
            return f"({value})|string|{self.pick(KINDS['string'][1])}"
        return f"({value}) is {self.pick(TESTS)}" if self.rng.random() < 0.5 else f"({value}|string)[{self.slice()}]"

    def expression(self):
        if self.rng.random() < 0.7:
            return self.kindly()
        self.depth += 1
        try:
            if self.depth > 3:
                return self.pick([self.literal, lambda: self.pick(self.names)])()
            e = self.expression
            kind = self.rng.randrange(22)
            if kind < 3:
                return self.literal()
            if kind < 6:
                return self.pick(self.names)
            if kind == 6:
                return f"[{', '.join(e() for _ in range(self.rng.randrange(4)))}]"
            if kind == 7:
                keys = self.rng.sample(["'k'", "'z'", "1", "none", "'a b'"], self.rng.randrange(4))
                return "{" + ", ".join(f"{k}: {e()}" for k in keys) + "}"
            if kind < 11:
                return f"({e()}) | {self.pick(FILTERS)}" if self.rng.random() < 0.5 else f"{self.pick(self.names)}|{self.pick(FILTERS)}"
            if kind == 11:
                return f"({e()}) is {self.pick(['', 'not '])}{self.pick(TESTS)}"
            if kind == 12:
                return f"({e()}).{self.pick(METHODS)}"
            if kind == 13:
                return f"{self.pick(self.names)}.{self.pick(METHODS)}"
            if kind == 14:
                return f"({e()})[{self.slice()}]"
            if kind == 15:
                return f"{self.pick(self.names)}[{e()}]"
            if kind == 16:
                return f"({e()} if {e()}{self.pick(['', ' else ' + e()])})"
            if kind == 17:
                return f"{self.pick(['not ', '-', '+'])}({e()})"
            if kind == 18:
                return f"({e()} {self.pick(['and', 'or'])} {e()})"
            if kind == 19:
                return f"({e()} {self.pick(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {e()})"
            if kind == 20:
                percent = self.pick(["'%s'", "'%d|%5.2f'", "'%-5s|'", "'%05d'", "'%x'", "'%r'", "'%(k)s'", "'%%'", "'%+.1e'"])
                return f"({percent} % {self.pick([e(), '(' + e() + ', ' + e() + ')'])})"
            return f"({e()} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+', '**' if self.depth > 3 else '-'])} {e()})"
        finally:
            self.depth -= 1

    def tag(self, text):
        return "{%" + self.pick(["", "", "", "-", "+"]) + f" {text} " + self.pick(["", "", "", "-", "+"]) + "%}"

    def text(self):
        return self.pick(["x", "\n", "  ", "  \n\n", "a b", " {# c #} ", "\t", "{#- c -#}\n", "{% raw %}{{ r }}{% endraw %}", "ä"])

    def body(self):
        self.depth += 1
        out = "".join(self.statement() for _ in range(self.rng.randrange(1, 4)))
        self.depth -= 1
        return out

    def loop(self):
        target = self.pick(["i", "i", "i, j", "(i, j)"])
        over = self.pick([self.expression(), "l", "d.items()", "range(4)", "s", "m", "[1, 2, 3]", "[[1, 2], [3, 4]]"])
        self.names += ["i"]
        self.loops += 1
        inside = self.body()
        if self.rng.random() < 0.5:
            inside += "{{ loop." + self.pick(["index", "index0", "first", "last", "length", "revindex", "revindex0", "depth",
                                              "previtem", "nextitem", "cycle('p', 'q')", "changed(i)"]) + " }}"
        if self.rng.random() < 0.15:
            inside += self.tag("if " + self.expression()) + self.tag(self.pick(["break", "continue"])) + self.tag("endif")
        self.loops -= 1
        self.names.remove("i")
        condition = f" if {self.expression()}" if self.rng.random() < 0.25 else ""
        otherwise = self.tag("else") + self.body() if self.rng.random() < 0.25 else ""
        return self.tag(f"for {target} in {over}{condition}") + inside + otherwise + self.tag("endfor")

    def macro(self):
        name, e = self.pick(["mac", "mic"]), self.expression
        parameters = self.pick(["", "p", "p, q=1", "p=none, q='z'"])
        inside = self.body() + self.pick(["", "{{ p }}{{ q }}", "{{ varargs }}", "{{ kwargs }}", "{{ caller is defined }}", "{{ caller() }}"])
        definition = self.tag(f"macro {name}({parameters})") + inside + self.tag("endmacro")
        arguments = self.pick(["", e(), f"{e()}, {e()}", f"q={e()}", f"{e()}, p=1", f"*{e()}", f"**{e()}", f"{e()}, z={e()}"])
        if self.rng.random() < 0.3:
            return definition + self.tag(f"call {name}({arguments})") + self.body() + self.tag("endcall")
        return definition + "{{ " + f"{name}({arguments})" + " }}"

    def statement(self):
        if self.depth > 3:
            return self.text()
        e, kind = self.expression, self.rng.randrange(16)
        if kind < 5:
            return "{{" + self.pick(["", "", "-"]) + f" {e()} " + self.pick(["", "", "-"]) + "}}"
        if kind < 7:
            return self.text()
        if kind == 7:
            other = self.pick(["", self.tag("else") + self.body(), self.tag("elif " + e()) + self.body()])
            return self.tag("if " + e()) + self.body() + other + self.tag("endif")
        if kind < 10:
            return self.loop()
        if kind == 10:
            return self.tag(f"set {self.pick(['a', 'b', 'v'])} = {e()}") + "{{ v }}"
        if kind == 11:
            return self.tag("set v" + self.pick(["", " | upper", " | trim"])) + self.body() + self.tag("endset") + "{{ v }}"
        if kind == 12:
            return (self.tag(f"set ns = namespace(c={e()})") + self.tag("for i in [1, 2]") + self.tag(f"set ns.c = {self.pick(['ns.c ~ i', e()])}") +
                    self.tag("endfor") + "{{ ns.c }}")
        if kind == 13:
            return self.macro()
        if kind == 14:
            return self.tag(f"with a = {e()}, w = {self.pick(['a', e()])}") + self.body() + "{{ w }}" + self.tag("endwith")
        return self.tag("filter " + self.pick(["upper", "trim", "replace('x', 'y')", "indent"])) + self.body() + self.tag("endfilter")

    def template(self):
        return "".join(self.statement() for _ in range(self.rng.randrange(1, 4)))

    def value(self, depth=0):
        r, v = self.rng.random(), self.value
        if r < 0.3:
            return self.pick(["", "x", "Hello World", " pad ", "a,b", "l1\nl2\n", "grüße", "日本 😀", "<i>", "42", "'q'"])
        if r < 0.5:
            return self.pick([0, 1, 2, -7, 10, 1.5, -0.5, 2.0, 2**63, 1e20])  # JSON's integers end at 64 bits
        if r < 0.62:
            return self.pick([None, True, False])
        if depth > 2:
            return self.pick(string.ascii_lowercase)
        if r < 0.8:
            return [v(depth + 1) for _ in range(self.rng.randrange(4))]
        return {k: v(depth + 1) for k in self.rng.sample(["k", "z", "items", "é"], self.rng.randrange(4))}

    def context(self):
        context = {name: self.value() for name in NAMES if name != "nope" and self.rng.random() < 0.9}
        context["l"] = [self.value(1) for _ in range(self.rng.randrange(5))]
        context["d"] = {k: self.value(1) for k in ["k", "z", "y"][:self.rng.randrange(4)]}
        context["m"] = [{"k": self.value(2), "z": i} for i in range(self.rng.randrange(4))]
        context["s"] = self.pick(["Hello World", "a,b,c", " x ", ""])
        context["n"] = self.rng.randrange(-2, 6)
        return context
