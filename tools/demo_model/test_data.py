"""python3 test_data.py: checks of the generator, the tokenizer and the template; they need no PyTorch."""
import datetime
import json
import os
import random
import re

import jinja2

import arithmetic
import data
import lists_and_dates
import tokenizer
import words

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/demo")


def answers_stand_in_their_sentences():
    rng, now = random.Random(3), datetime.date(2026, 1, 15)
    for task in [*data.TASKS, "today"]:
        for _ in range(400):
            _, question, _, sentence, answer = data.problem(rng, now, False, task)
            plain = sentence.replace("\x02", "").replace("\x03", "")
            assert data.contains_answer(plain, answer), (task, question, plain, answer)


def workings_are_right():
    """Every step of the form 7+8+1=16, and the number at the end."""
    for a in range(0, 1000, 7):
        for b in range(0, 1000, 13):
            check_steps(arithmetic.add_work(a, b), a + b)
            if a >= b:
                check_steps(arithmetic.sub_work(a, b), a - b)
            if a < 100 and b < 100:
                check_steps(arithmetic.mul_work(a, b), a * b)
            if 0 < b % 10:
                check_steps(arithmetic.div_work(a, b % 10), a // (b % 10))


def check_steps(work, result):
    assert int(re.findall(r"[0-9]+", work)[-1]) == result, work
    for left, right in re.findall(r"(?<![0-9+x/-])(?=([0-9]+(?:[-+x/][0-9]+)+)=([0-9]+))", work):
        value = eval(re.sub(r"\b0+(?=[0-9])", "", left).replace("x", "*").replace("/", "//"))
        assert value == int(right), (work, left, right)


def dates_are_right():
    for start in range(0, 3650, 11):
        date = datetime.date(2020, 1, 1) + datetime.timedelta(days=start)
        for days in range(-30, 31):
            work, found = lists_and_dates.shift_work(date, days)
            if found:
                assert found == date + datetime.timedelta(days=days) and work.endswith(str(found)), work
                check_steps(re.sub(r"; [0-9]{4}-[0-9]{2}-[0-9]{2}$", f"; {found.day}", work), found.day)


def nothing_held_out_is_trained_on():
    rng, questions = random.Random(5), {row["prompt"] for row in data.heldout_set(200, 1)}
    with open(os.path.join(FOLDER, "heldout.jsonl"), encoding="utf-8") as file:
        kept = [json.loads(line)["prompt"] for line in file]
    assert len(set(kept)) == 200 and questions == set(kept)
    for _ in range(20000):
        asked = re.findall(r"<\|start\|>user<\|message\|>(.*?)<\|end\|>", data.conversation(rng)[0])
        assert not questions.intersection(asked), questions.intersection(asked)


def text_survives_the_tokenizer():
    tok, rng, longest = tokenizer.Tokenizer(os.path.join(FOLDER, "tokenizer.json")), random.Random(7), 0
    assert sorted([*tok.vocab.values(), *tok.special.values()]) == list(range(tokenizer.VOCAB_SIZE))
    assert not any(re.search(r"[0-9].|.[0-9]", piece) for piece in tok.vocab), "a digit is merged"
    for word in words.WORDS:
        assert len(tok.encode(" " + word)) == len(word) + 1, word + " is a word of the vocabulary, so no row of letters"
    total = 0
    for _ in range(5000):
        text = "".join(data.conversation(rng))
        ids = tok.encode(text)
        assert tok.decode(ids) == text.replace("\x02", "").replace("\x03", "")
        longest, total = max(longest, len(ids)), total + len(ids)
    print(f"tokens per conversation: mean {total / 5000:.0f}, longest {longest}")


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
    for check in (answers_stand_in_their_sentences, workings_are_right, dates_are_right, nothing_held_out_is_trained_on, text_survives_the_tokenizer,
                  template_gives_the_training_form, answers_are_judged_strictly):
        check()
        print("ok", check.__name__)
