#!/usr/bin/env python3
"""Measures chorus on the CPU as docs/performance-cpu.md shows it, and draws the curves.

    bench/cpu/run.py --chorus build/release/src/app/cli/chorus --out results.json            the table (about 30 minutes)
    bench/cpu/run.py --chorus ... --out results.json --curves                                 and the curves (about two hours)
    bench/cpu/run.py --chorus ... --out results.json --curves --short --repeat 1              both in about half an hour
    bench/cpu/run.py --chorus ... --out results.json --parts contexts --only 16384 --repeat 1  a piece of it
    bench/cpu/run.py --draw results.json --svg docs/performance-cpu.svg                       draws what was measured

Every figure is the median of the runs; beside it stands the streaming bandwidth that was measured around it. Results are
written after every run, and runs are added to those that the file already has, so that a measurement can go on later.
"""
import argparse
import json
import math
import os
import statistics
import subprocess

TABLE = [1, 2, 4, 8, 16, 29, 101]
CURVE = [1, 2, 4, 8, 16, 32, 64, 128]
CONTEXTS = [64, 256, 1024, 4096, 16384, 32768]
SHORT_CONTEXTS = [64, 256, 1024, 4096, 8192]
STEP_TOKENS = 512


def bench(args, batches, prompt, generate):
    source = ["--model", args.model] if args.model else ["--synthetic", "gpt-oss-20b"]
    command = [args.chorus, "bench", *source, "--batch", ",".join(map(str, batches)), "--prompt-tokens", str(prompt),
               "--generate", str(generate), "--step-tokens", str(STEP_TOKENS), "--json", "--threads", str(args.threads)]
    print(" ".join(command), flush=True)
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def generated_for(batch, prompt, wanted):
    """A row begins when its prompt has had its steps, and only steps in which all rows decode count: the first rows must
    last until the last ones have begun, and then `wanted` tokens."""
    return wanted + batch * prompt // max(1, STEP_TOKENS - batch)


def rows_of(run):
    """What a run measured: a row per batch."""
    return [{"batch": cell["batch"], "prompt": run["prompt_tokens"], "decode_tps": cell["decode_tps"],
             "step_ms": cell["step_ms"], "prefill_tps": cell["prefill_tps"], "bandwidth_share": cell["bandwidth_share"],
             "bandwidth_gbs": cell["read_bandwidth"] / 1e9, "load_s": run["load_s"]} for cell in run["batches"]]


def medians(runs):
    """A row per batch and prompt: the median of its runs, and all of them beside it."""
    cells = {}
    for row in runs:
        cells.setdefault((row["prompt"], row["batch"]), []).append(row)
    table = []
    for same in cells.values():
        table.append({name: statistics.median(row[name] for row in same) for name in same[0]})
        for name in ("decode_tps", "prefill_tps", "bandwidth_gbs"):
            table[-1][name + "_all"] = [round(row[name], 2) for row in same]
    return table


def line(row):
    return (f"batch {row['batch']:4}  prompt {row['prompt']:6}  decode {row['decode_tps']:7.2f} tok/s  prefill "
            f"{row['prefill_tps']:7.2f} tok/s  {100 * row['bandwidth_share']:5.1f} % of {row['bandwidth_gbs']:.1f} GB/s")


class Results:
    """The runs of each part, in a file that is whole after every run."""

    def __init__(self, path):
        self.path = path
        self.runs = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.runs = json.load(file)

    def add(self, part, run):
        rows = rows_of(run)
        self.runs.setdefault(part, []).extend(rows)
        partial = self.path + ".partial"
        with open(partial, "w", encoding="utf-8") as out:
            json.dump(self.runs, out, indent=1)
        os.replace(partial, self.path)
        for row in rows:
            print(line(row), flush=True)


def calls(args):
    """(part, batches, tokens of the prompt, tokens to generate) of every call of `chorus bench`, for one run of all parts.
    Few rows are measured one batch after the other in one call; more have a call each."""
    for part, batches, together in (("table", TABLE, 29), ("batches", CURVE, 32)):
        yield part, [batch for batch in batches if batch <= together], 70, args.generate
        for batch in batches:
            if batch > together:
                yield part, [batch], 70, generated_for(batch, 70, args.generate)
    for tokens in (512, 7168):
        yield "prefill", [1], tokens, 4
    for tokens in SHORT_CONTEXTS if args.short else CONTEXTS:
        yield "contexts", [1], tokens, 16


def measure(args):
    results = Results(args.out)
    wanted = args.parts.split(",") if args.parts else ["table", "prefill"] + (["batches", "contexts"] if args.curves else [])
    only = [int(cell) for cell in args.only.split(",")] if args.only else None
    for _ in range(args.repeat):
        for part, batches, prompt, generate in calls(args):
            if only and part in ("table", "batches"):
                batches = [batch for batch in batches if batch in only]
            if part in wanted and batches and (not only or part in ("table", "batches") or prompt in only):
                results.add(part, bench(args, batches, prompt, generate))
    print("medians")
    for part in results.runs.values():
        for row in medians(part):
            print(line(row))


def step_of(top):
    """Of the lines across a plot: 1, 2 or 5 times a power of ten, four to nine of them."""
    power = 10 ** math.floor(math.log10(top / 4))
    return next(power * times for times in (10, 5, 2, 1) if power * times * 4 <= top)


def curve(points, style):
    return f'<polyline fill="none" stroke-width="2" {style} points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>'


def panel(x0, title, label, xs, ys, limits):
    """One plot of 360 x 250: x by its logarithm, y from 0; `limits`, if any, as a broken line that may leave the plot."""
    left, width, bottom, height = x0 + 45, 300, 210, 170
    top = min(max(ys + limits) * 1.1, max(ys) * 1.4)
    first, last = math.log(xs[0]), math.log(xs[-1])
    position = [left + (math.log(x) - first) * width / (last - first) for x in xs]
    parts = [f'<text x="{left + width / 2}" y="18" text-anchor="middle" font-weight="bold">{title}</text>']
    step = step_of(top)
    for i in range(int(top / step) + 1):
        y = bottom - i * step / top * height
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{i * step:g}</text>')
    for x, at in zip(xs, position):
        name = f"{x // 1024}k" if x >= 1024 else str(x)
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{name}</text>')
    def points(values):
        return [(at, bottom - y / top * height) for at, y in zip(position, values)]
    if limits:
        parts.append(f'<svg x="0" y="{bottom - height}" width="{x0 + 360}" height="{height}" viewBox="0 {bottom - height} {x0 + 360} {height}">'
                     + curve(points(limits), 'stroke="#999" stroke-dasharray="4 4"') + "</svg>")
    parts.append(curve(points(ys), 'stroke="#06c"'))
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>' for x, y in points(ys)]
    parts.append(f'<text x="{left + width / 2}" y="{bottom + 36}" text-anchor="middle">{label}</text>')
    return "".join(parts)


def draw(results, svg):
    """Decode with what memory alone would allow at the bandwidth of the same run (broken); prefill."""
    def decode(rows):
        return [r["decode_tps"] for r in rows], [r["decode_tps"] / r["bandwidth_share"] for r in rows]
    batches = sorted(medians(results.get("batches") or results["table"]), key=lambda r: r["batch"])
    plots = [("decode, tok/s (broken: memory's limit)", "rows of the batch", [int(r["batch"]) for r in batches], *decode(batches))]
    if "contexts" in results:
        rows = sorted(medians(results["contexts"]), key=lambda r: r["prompt"])
        tokens = [int(r["prompt"]) for r in rows]
        plots.append(("decode of one row, tok/s (broken: limit)", "tokens of context", tokens, *decode(rows)))
        plots.append(("prefill, tok/s", "tokens of the prompt", tokens, [r["prefill_tps"] for r in rows], []))
    body = "".join(panel(i * 370, *plot) for i, plot in enumerate(plots))
    with open(svg, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{370 * len(plots)}" height="255" '
                  f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chorus", default="build/release/src/app/cli/chorus")
    parser.add_argument("--model", help="a folder; default: the synthetic gpt-oss-20b, made where it is missing")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--generate", type=int, default=24)
    parser.add_argument("--curves", action="store_true", help="also batches 1 to 128 and contexts 64 to 32k")
    parser.add_argument("--parts", help="only these of table, prefill, batches, contexts, separated by commas")
    parser.add_argument("--only", help="only these batches, or prompts of prefill and contexts, separated by commas")
    parser.add_argument("--short", action="store_true", help="contexts to 8k only")
    parser.add_argument("--out", default="results.json", help="what is in it stays: runs are added")
    parser.add_argument("--draw", help="a file of results to draw instead of measuring")
    parser.add_argument("--svg", default="docs/performance-cpu.svg")
    args = parser.parse_args()
    if args.draw:
        with open(args.draw, encoding="utf-8") as file:
            draw(json.load(file), args.svg)
    else:
        measure(args)


if __name__ == "__main__":
    main()
