#!/usr/bin/python3
"""compare.py CHAT_BENCH TEMPLATE_FILE [CONVERSATIONS_FILE]: chat_bench and Python's jinja2 on the same input.

jinja2 is set up as transformers does, the template compiled once. Times are processor time: the best of nine
repetitions of at least 0.15 s, of both programs in turn (other work on the machine only ever adds to a time). Needs
python3-jinja2."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/differential/jinja"))
import environment  # noqa: E402

REPETITIONS, SECONDS = 9, 0.15


def seconds_per_call(call):
    calls, spent = 1, 0
    while spent < SECONDS:
        begin = time.process_time()
        for _ in range(calls):
            call()
        spent = time.process_time() - begin
        per_call = spent / calls
        calls = max(calls + 1, int(calls * 1.2 * SECONDS / max(spent, 1e-6)))
    return per_call


def python_times(source, conversations):
    env = environment.make("2026-01-15 00:00:00")
    template = env.from_string(source)
    times = {"parse": seconds_per_call(lambda: env.compile(source))}
    for name, c in conversations.items():
        variables = {"messages": c["messages"], "tools": c.get("tools"), "documents": None, "add_generation_prompt": True}
        times["render/" + name] = seconds_per_call(lambda: template.render(**variables))
    return times


def chorus_times(program, template, conversations):
    result = subprocess.run([program, template, conversations, "--benchmark_format=json",
                             f"--benchmark_min_time={SECONDS}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=True)
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
    return {b["name"]: b["cpu_time"] * unit[b["time_unit"]] for b in json.loads(result.stdout)["benchmarks"]}


def main():
    program, template = sys.argv[1:3]
    here = os.path.dirname(os.path.abspath(__file__))
    file = sys.argv[3] if len(sys.argv) > 3 else os.path.join(here, "conversations.json")
    with open(template, encoding="utf-8") as f:
        source = f.read()
    with open(file, encoding="utf-8") as f:
        conversations = json.load(f)
    runs = [(python_times(source, conversations), chorus_times(program, template, file)) for _ in range(REPETITIONS)]
    print(f"{'':20}{'jinja2, us':>12}{'chorus, us':>12}{'ratio':>8}")
    for name in runs[0][0]:
        python, chorus = (min(r[i][name] for r in runs) for i in (0, 1))
        print(f"{name:20}{python * 1e6:12.1f}{chorus * 1e6:12.2f}{python / chorus:8.1f}")


if __name__ == "__main__":
    main()
