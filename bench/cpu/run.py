#!/usr/bin/env python3
"""Measures chorus on the CPU as docs/performance-cpu.md shows it, and draws the curves.

    bench/cpu/run.py --chorus build/release/src/app/cli/chorus --out results.json            the table (about 15 minutes)
    bench/cpu/run.py --chorus ... --out results.json --curves                                 and the curves (about an hour)
    bench/cpu/run.py --draw results.json --svg docs/performance-cpu.svg                       draws what was measured

Every figure is the median of --repeat runs; beside it stands the streaming bandwidth that the same run measured.
"""
import argparse
import json
import statistics
import subprocess

TABLE = [1, 2, 4, 8, 16, 29, 101]
CURVE = [1, 2, 4, 8, 16, 32, 64, 128]
CONTEXTS = [64, 256, 1024, 4096, 16384, 32768]


def bench(args, batch, prompt, generate):
    source = ["--model", args.model] if args.model else ["--synthetic", "gpt-oss-20b"]
    command = [args.chorus, "bench", *source, "--batch", ",".join(map(str, batch)), "--prompt-tokens", str(prompt),
               "--generate", str(generate), "--json", "--threads", str(args.threads)]
    print(" ".join(command), flush=True)
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def decode(args, batches, prompt, generate):
    """Rows of the table: the median over the runs for each batch."""
    runs = [bench(args, batches, prompt, generate) for _ in range(args.repeat)]
    rows = []
    for i, batch in enumerate(batches):
        cells = [run["batches"][i] for run in runs]
        rows.append({"batch": batch, "prompt": prompt,
                     "decode_tps": statistics.median(c["decode_tps"] for c in cells),
                     "decode_tps_all": [round(c["decode_tps"], 2) for c in cells],
                     "prefill_tps": statistics.median(c["prefill_tps"] for c in cells),
                     "bandwidth_share": statistics.median(c["bandwidth_share"] for c in cells),
                     "bandwidth_gbs": statistics.median(run["read_bandwidth"] for run in runs) / 1e9,
                     "load_s": statistics.median(run["load_s"] for run in runs)})
        print(f"batch {batch:4}  prompt {prompt:6}  decode {rows[-1]['decode_tps']:7.2f} tok/s  prefill "
              f"{rows[-1]['prefill_tps']:7.2f} tok/s  {100 * rows[-1]['bandwidth_share']:5.1f} % of "
              f"{rows[-1]['bandwidth_gbs']:.1f} GB/s", flush=True)
    return rows


def measure(args):
    results = {"table": decode(args, TABLE, 70, args.generate)}
    results["prefill"] = decode(args, [1], 512, 2) + decode(args, [1], 7168, 2)
    if args.curves:
        results["batches"] = decode(args, CURVE, 70, args.generate)
        results["contexts"] = [row for context in CONTEXTS for row in decode(args, [1], context, 16)]
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(results, out, indent=1)


def panel(x0, title, xs, ys, label):
    """One plot of 360 x 240: x in powers of two, y from 0."""
    width, height, top = 300, 170, max(ys) * 1.1
    position = {x: x0 + 45 + i * width / max(1, len(xs) - 1) for i, x in enumerate(xs)}
    parts = [f'<text x="{x0 + 45 + width / 2}" y="18" text-anchor="middle" font-weight="bold">{title}</text>']
    for i in range(5):
        y = 210 - i * height / 4
        parts.append(f'<line x1="{x0 + 45}" x2="{x0 + 45 + width}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                     f'<text x="{x0 + 38}" y="{y + 4}" text-anchor="end">{top * i / 4:.0f}</text>')
    for x in xs:
        parts.append(f'<text x="{position[x]}" y="228" text-anchor="middle">{x}</text>')
    points = [(position[x], 210 - y / top * height) for x, y in zip(xs, ys)]
    parts.append('<polyline fill="none" stroke="#06c" stroke-width="2" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>' for x, y in points]
    parts.append(f'<text x="{x0 + 45 + width / 2}" y="246" text-anchor="middle">{label}</text>')
    return "".join(parts)


def draw(results, svg):
    plots = []
    batches = results.get("batches") or results["table"]
    plots.append(("decode, tok/s", [r["batch"] for r in batches], [r["decode_tps"] for r in batches], "rows of the batch"))
    if "contexts" in results:
        rows = results["contexts"]
        plots.append(("decode at batch 1, tok/s", [r["prompt"] for r in rows], [r["decode_tps"] for r in rows], "tokens of context"))
        plots.append(("prefill, tok/s", [r["prompt"] for r in rows], [r["prefill_tps"] for r in rows], "tokens of the prompt"))
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
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--out", default="results.json")
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
