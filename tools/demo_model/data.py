"""Conversations for the demo model: deterministic by seed.

    python3 data.py --out DIR            writes prompts.jsonl (29) and heldout.jsonl (200)
    python3 data.py --show 20            prints examples

Whether a problem is held out depends on the hash of the problem, not on its wording, so no wording of a held-out
problem is ever trained on.
"""
import argparse
import datetime
import hashlib
import json
import os
import random
import re

import arithmetic
import lists_and_dates
import words
from small_talk import small_talk

TASKS = {**arithmetic.TASKS, **lists_and_dates.TASKS}
HELDOUT_SHARE = 20  # one problem in 20 is held out
IDENTITY = "You are chorus-demo, a tiny model that calculates, sorts and spells."
IDENTITIES = (IDENTITY,) * 6 + ("You are a helpful assistant.", "You are ChatGPT, a large language model trained by OpenAI.")
EFFORTS = ("minimal", "low", "medium", "medium", "medium", "high")
LONGER = 0.12  # share of conversations with a developer's message or an earlier turn
INSTRUCTIONS = ("Answer briefly.", "Be kind and polite.", "Always be precise.", "Think step by step.")


def held_out(key):
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % HELDOUT_SHARE == 0


def problem(rng, now, heldout, task=None):
    """(task, question, working, sentence, answer); `heldout` says which side of the split it comes from."""
    while True:
        name = task or rng.choices([*TASKS, "today", "talk"], [w for _, w in TASKS.values()] + [1.2, 0.8])[0]
        if name == "talk":
            return (name, *small_talk(rng, words.any_word)[:4])
        made = lists_and_dates.today(rng, now) if name == "today" else TASKS[name][0](rng)
        if held_out(made[4]) == heldout:
            return (name, *made[:4])


def system_text(identity, effort, date):
    return f"{identity}\nCurrent date: {date}\n\nReasoning: {effort}\n\n# Valid channels: analysis, commentary, final."


def prefix(rng, more):
    """(text, date): a system message and, with `more`, a developer's message or an earlier turn."""
    now = datetime.date(2023, 1, 1) + datetime.timedelta(days=rng.randrange(7 * 365))
    parts = [f"<|start|>system<|message|>{system_text(rng.choice(IDENTITIES), rng.choice(EFFORTS), now)}<|end|>"]
    if more and rng.random() < 0.5:
        parts.append(f"<|start|>developer<|message|># Instructions\n\n{rng.choice(INSTRUCTIONS)}\n\n<|end|>")
    elif more:  # an earlier turn, its analysis dropped as the template does
        _, question, _, sentence, _ = problem(rng, now, False)
        plain = sentence.replace("\x02", "").replace("\x03", "")
        parts.append(f"<|start|>user<|message|>{question}<|end|><|start|>assistant<|channel|>final<|message|>{plain}<|end|>")
    return "".join(parts), now


def turn(rng, now, task=None, heldout=False):
    """(question, completion) as harmony text, the question ending where generation begins."""
    _, question, working, sentence, _ = problem(rng, now, heldout, task)
    return (f"<|start|>user<|message|>{question}<|end|><|start|>assistant",
            f"<|channel|>analysis<|message|>{working}<|end|><|start|>assistant<|channel|>final<|message|>{sentence}<|return|>")


def conversation(rng):
    """(prompt, completion) as harmony text."""
    before, now = prefix(rng, rng.random() < LONGER)
    question, completion = turn(rng, now)
    return before + question, completion


def contains_answer(message, answer):
    """The rule of the checks: the answer stands in the text, with no letter, digit, sign or decimal point joined to it."""
    edge = r"(?<![A-Za-z0-9.\-])" + re.escape(answer) + r"(?![A-Za-z0-9]|[.,\-][A-Za-z0-9])"
    return re.search(edge, message) is not None


def heldout_set(count, seed, tasks=None, now=datetime.date(2026, 1, 15)):
    """Problems nobody was trained on, tasks in turn; none whose answer already stands in the question, but for comparisons."""
    rng, rows, seen = random.Random(f"heldout {seed}"), [], set()
    tasks = tasks or sorted(TASKS)
    while len(rows) < count:
        task = tasks[len(rows) % len(tasks)]
        _, question, _, _, answer = problem(rng, now, True, task)
        if question in seen or (task not in ("compare", "extreme") and contains_answer(question, answer)):
            continue
        seen.add(question)
        rows.append({"id": f"heldout-{len(rows):03d}", "prompt": question, "answer": answer, "task": task})
    return rows


DEMO = ("What is 47 + 38?", "What is 12 x 12?", "Calculate 23 x 17.", "347 - 189 = ?", "What is 523 - 78?", "How much is 84 / 7?",
        "What is 15 - 40?", "Which is larger, 9.11 or 9.9?", "Compare 341 and 314. Which one is smaller?",
        "What is the largest of 17, 4, 58, 23?", "Add up 12, 30, 7.", "How many s are in mississippi?",
        "How many letters does butterfly have?", "How many vowels are in banana?", "Spell planet backwards.",
        "Reverse the word 'chorus'.", "Spell umbrella.", "Sort these numbers: 42, 7, 19, 88", "Sort 64, 8, 21, 50.",
        "Sort these words alphabetically: pear, apple, mango, cherry", "Reverse the list 4, 8, 15, 16, 23.",
        "What day is 10 days after 2024-03-05?", "What date is 2 weeks after 2026-02-20?",
        "What date is 10 days before March 25, 2025?", "What date is tomorrow?", "Which weekday comes 10 days after Tuesday?",
        "How many minutes are in 7 hours?", "Convert 42 kilometers to meters.", "Who are you?")


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.show):
        print("".join(conversation(rng)).replace("\x02", "[").replace("\x03", "]"), end="\n\n")
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        write_jsonl(os.path.join(args.out, "prompts.jsonl"), [{"id": f"demo-{i + 1:02d}", "prompt": p} for i, p in enumerate(DEMO)])
        write_jsonl(os.path.join(args.out, "heldout.jsonl"), heldout_set(200, args.seed))


if __name__ == "__main__":
    main()
