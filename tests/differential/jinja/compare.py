#!/usr/bin/python3
"""compare.py JINJA_DRIVER [--seconds 60] [--seed N] [--show 10]: random templates, rendered by chorus and by Python's
jinja2 set up as transformers does. Prints the seed, and each mismatch made as small as it gets; exit 1 if there was
one. Both failing counts as equal, whatever the words. Needs python3-jinja2."""
import argparse
import json
import random
import re
import resource
import subprocess
import sys
import time
import warnings

import environment
import generate


def python(env, template, context):
    try:
        return {"output": env.from_string(template).render(**context)}
    except Exception as e:  # whatever a template can make Python raise
        return {"error": f"{type(e).__name__}: {e}"}


class Driver:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def __call__(self, template, context):
        self.process.stdin.write(json.dumps({"template": template, "context": context}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the driver died of {template!r} with {context!r}")
        return json.loads(line)


def comparable(result):
    if "error" in result:
        return None
    # How a generator or a method prints itself names its address, and functions of Jinja2's own.
    return re.sub(r"<(generator|reversed|list_reverseiterator|built-in method|function)[^<>]*>", "<object>",
                  re.sub(r"0x[0-9a-f]{6,}", "0x", result["output"]), flags=re.IGNORECASE)


def limited(result):
    return "limit of the sandbox" in result.get("error", "")


def smaller(differ, template, context):
    """Drops pieces of the template, then variables, as long as the two still differ."""
    size = max(1, len(template) // 2)
    while size >= 1:
        at = 0
        while at < len(template):
            less = template[:at] + template[at + size:]
            if differ(less, context):
                template = less
            else:
                at += size
        size //= 2
    for name in list(context):
        less = {k: v for k, v in context.items() if k != name}
        if differ(template, less):
            context = less
    return template, context


def main():
    options = argparse.ArgumentParser()
    options.add_argument("driver")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options.add_argument("--show", type=int, default=10, help="stop after so many mismatches")
    o = options.parse_args()
    print(f"seed {o.seed}", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # templates can ask Python for any amount
    warnings.simplefilter("ignore")  # Python's compiler about 1[0] and the like
    env, chorus = environment.make("2026-01-15 12:30:45"), Driver(o.driver)

    def differ(template, context):
        mine = chorus(template, context)
        return not limited(mine) and comparable(mine) != comparable(python(env, template, context))

    end, cases, outputs, mismatches = time.time() + o.seconds, 0, 0, 0
    while time.time() < end and mismatches < o.show:
        generator = generate.Generator(random.Random(f"{o.seed}/{cases}"))
        template, context = generator.template(), generator.context()
        cases += 1
        mine, theirs = chorus(template, context), python(env, template, context)
        outputs += "output" in theirs
        if limited(mine) or comparable(mine) == comparable(theirs):
            continue
        mismatches += 1
        template, context = smaller(differ, template, context)
        print(json.dumps({"case": cases - 1, "template": template, "context": context, "python": python(env, template, context),
                          "chorus": chorus(template, context)}, ensure_ascii=False), flush=True)
    print(f"seed {o.seed}: {cases} templates, {outputs} rendered by Python, {mismatches} mismatches")
    sys.exit(mismatches > 0)


if __name__ == "__main__":
    main()
