"""python3 test_data.py: checks of the generator, the tokenizer and the template; they need no PyTorch."""
import datetime
import json
import os
import random
import re

import jinja2

import arithmetic
import data
import tokenizer

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/demo")


def answers_stand_in_their_sentences():
    rng, now = random.Random(3), datetime.date(2026, 1, 15)
    for task in [*data.TASKS, "today"]:
        for i in range(400):
            _, question, working, sentence, answer = data.problem(rng, i % 2 == 0, now, False, task)
            plain = sentence.replace("\x02", "").replace("\x03", "")
            assert data.contains_answer(plain, answer), (task, question, plain, answer)
            assert answer.replace("-", "") in re.sub(r"[^a-z0-9A-Z, ]", "", working) or task not in ("add", "subtract", "multiply"), (question, working)


def workings_are_right():
    for a in range(0, 1000, 7):
        for b in range(0, 1000, 13):
            for brief in (True, False):
                assert re.findall(r"\d+", arithmetic.add_work(a, b, brief))[-1] == str(a + b)
    for c in re.finditer(r"(\d+) ([x+]) (\d+)(?: \+ (\d+))? = (\d+), write", " ".join(arithmetic.mul_work(a, b, False) for a in range(100) for b in range(100))):
        x, op, y, carry, result = c.groups()
        assert int(result) == (int(x) * int(y) if op == "x" else int(x) + int(y)) + int(carry or 0), c.group(0)


def nothing_held_out_is_trained_on():
    rng, questions = random.Random(5), {row["prompt"] for row in data.heldout_set(2000, 1)}
    for _ in range(20000):
        asked = re.findall(r"<\|start\|>user<\|message\|>(.*?)<\|end\|>", data.conversation(rng)[0])
        assert not questions.intersection(asked), questions.intersection(asked)


def text_survives_the_tokenizer():
    tok, rng, longest = tokenizer.Tokenizer(os.path.join(FOLDER, "tokenizer.json")), random.Random(7), 0
    assert len(tok.vocab) + len(tok.special) == tokenizer.VOCAB_SIZE
    assert not any(re.search(r"[0-9].|.[0-9]", piece) for piece in tok.vocab), "a digit is merged"
    for letter in "abcdefghijklmnopqrstuvwxyz":
        assert "Ġ" + letter in tok.vocab
    total = 0
    for _ in range(5000):
        text = "".join(data.conversation(rng))
        ids = tok.encode(text)
        assert tok.decode(ids) == text.replace("\x02", "").replace("\x03", "")
        longest, total = max(longest, len(ids)), total + len(ids)
    print(f"tokens per conversation: mean {total / 5000:.0f}, longest {longest}")
    assert longest <= 512


def template_gives_the_training_form():
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    env.globals["strftime_now"] = lambda form: datetime.date(2026, 1, 15).strftime(form)
    with open(os.path.join(FOLDER, "chat_template.jinja"), encoding="utf-8") as file:
        template = env.from_string(file.read())
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "thinking": "x", "content": "Hello!"},
                {"role": "user", "content": "2 + 2?"}]
    got = template.render(messages=messages, add_generation_prompt=True, reasoning_effort="low", model_identity="You are an AI.")
    assert got == (f"<|start|>system<|message|>{data.system_text('You are an AI.', 'low', '2026-01-15')}<|end|>"
                   "<|start|>developer<|message|># Instructions\n\nAnswer briefly.\n\n<|end|><|start|>user<|message|>Hi<|end|>"
                   "<|start|>assistant<|channel|>final<|message|>Hello!<|end|><|start|>user<|message|>2 + 2?<|end|><|start|>assistant"), got
    plain = template.render(messages=messages[3:], add_generation_prompt=True)
    assert plain.startswith(f"<|start|>system<|message|>{data.system_text(data.IDENTITY, 'medium', '2026-01-15')}<|end|><|start|>user")


def answers_are_judged_strictly():
    for message, answer, right in (("5 + 2 = 7.", "7", True), ("It is -7.", "7", False), ("It is 7.5.", "7", False), ("It is 17.", "7", False),
                                   ("It is 2024-03-15.", "2024-03-15", True), ("It is 2024-03-15.", "15", False), ("Sorted: 1, 2, 3.", "1, 2, 3", True),
                                   ("a Monday.", "Monday", True), ("j-e-t-s-x", "j-e-t-s", False), ("5 - 12 = -7.", "-7", True)):
        assert data.contains_answer(message, answer) == right, (message, answer)


if __name__ == "__main__":
    for check in (answers_stand_in_their_sentences, workings_are_right, nothing_held_out_is_trained_on, text_survives_the_tokenizer,
                  template_gives_the_training_form, answers_are_judged_strictly):
        check()
        print("ok", check.__name__)
