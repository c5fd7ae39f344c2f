"""Python's jinja2 as transformers sets it up for chat templates."""
import datetime
import json

from collections import abc

import jinja2
from jinja2 import nodes, sandbox
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Raised(TemplateError):
    """raise_exception was called."""


class Generation(Extension):
    """{% generation %}: what is inside, in a scope of its own."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("inside"), [], [], body).set_lineno(line)

    def inside(self, caller):
        return caller()


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def make(now):
    """`now`, "YYYY-MM-DD HH:MM:SS", is what strftime_now shows."""
    moment = datetime.datetime.strptime(now, "%Y-%m-%d %H:%M:%S")
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    # As from Jinja2 3.1.5 on.
    sandbox._mutable_spec = tuple((kind, names | {"clear", "pop"} if kind is abc.MutableSequence else names)
                                  for kind, names in sandbox._mutable_spec)
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = moment.strftime
    return env
