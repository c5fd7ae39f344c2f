"""Makes the demo model's byte-level tokenizer and writes its files; also encodes, for the training.

    python3 tokenizer.py --out ../../models/demo

The vocabulary is the bytes and the fixed words of the tasks, with no merges: a digit is always a token, and a word the tasks are
about is a row of letters. Text between \\x02 and \\x03 is encoded letter by letter even where it happens to be a word.
"""
import argparse
import collections
import json
import os
import random
import re

import regex

import data
import small_talk
import words

SPECIAL = ("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>")
VOCAB_SIZE = 1024
PATTERN = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
           "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
           "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def byte_alphabet():
    """GPT-2's printable character for every byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in kept}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


BYTES = byte_alphabet()
PRETOKEN = regex.compile(PATTERN)
SPLIT = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + "|\x02.*?\x03)")


def corpus(seed):
    """Pre-tokens with their counts: conversations about words that consist of digits, so that only the fixed text counts."""
    rng, counts, any_word = random.Random(f"corpus {seed}"), collections.Counter(), words.any_word
    words.any_word = lambda rng: str(rng.randrange(1000, 100000))
    for _ in range(30000):
        for part in SPLIT.split("".join(data.conversation(rng))):
            if part and not part.startswith("<|"):
                counts.update(PRETOKEN.findall(part))
    words.any_word = any_word
    return counts


def vocabulary(counts):
    """The fixed words of questions, workings and answers. Any other word stays a row of bytes, so the model can spell it."""
    letter, a_place = re.compile(r"a's|[b-z]('s)?|[0-9]+"), set(small_talk.PLACES)
    return sorted(t for t, count in counts.items() if count >= 5 and len(t) > 1 and t.strip()
                  and not letter.fullmatch(t.strip()) and t.strip() not in a_place)


class Tokenizer:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        self.vocab = spec["model"]["vocab"]
        self.special = {t["content"]: t["id"] for t in spec["added_tokens"]}
        self.names = {i: t for t, i in self.vocab.items()}
        self.bytes_of = {c: b for b, c in BYTES.items()}
        self.cache = {}

    def word(self, token):
        if token not in self.cache:
            letters = [BYTES[b] for b in token.encode()]
            whole = self.vocab.get("".join(letters))
            self.cache[token] = [self.vocab[c] for c in letters] if whole is None else [whole]
        return self.cache[token]

    def encode(self, text):
        ids = []
        for part in SPLIT.split(text):
            if part in self.special:
                ids.append(self.special[part])
            elif part.startswith("\x02"):
                ids.extend(self.vocab[BYTES[b]] for b in part[1:-1].encode())
            else:
                for token in PRETOKEN.findall(part):
                    ids.extend(self.word(token))
        return ids

    def decode(self, ids):
        named = {i: t for t, i in self.special.items()}
        raw = b"".join(named[i].encode() if i in named else bytes(self.bytes_of[c] for c in self.names[i]) for i in ids)
        return raw.decode(errors="replace")


def tokenizer_json(tokens):
    vocab = [BYTES[b] for b in sorted(BYTES, key=lambda b: BYTES[b])] + ["".join(BYTES[b] for b in t.encode()) for t in tokens]
    reserved = [f"<|reserved_{i}|>" for i in range(len(vocab), VOCAB_SIZE - len(SPECIAL))]
    added = [{"id": len(vocab) + i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, t in enumerate((*reserved, *SPECIAL))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": True, "vocab": {t: i for i, t in enumerate(vocab)},
             "merges": []}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": None,
            "decoder": byte_level, "model": model}


TEMPLATE = """\
{#- Harmony: system, developer, user and assistant messages; an assistant's analysis is kept for the last message only. -#}
{%- set identity = model_identity if model_identity is defined else IDENTITY -%}
{%- set effort = reasoning_effort if reasoning_effort is defined else "medium" -%}
{{- "<|start|>system<|message|>" + identity + "\\nCurrent date: " + strftime_now("%Y-%m-%d") -}}
{{- "\\n\\nReasoning: " + effort + "\\n\\n# Valid channels: analysis, commentary, final.<|end|>" -}}
{%- for message in messages -%}
  {%- if message.role == "system" or message.role == "developer" -%}
    {{- "<|start|>developer<|message|># Instructions\\n\\n" + message.content + "\\n\\n<|end|>" -}}
  {%- elif message.role == "user" -%}
    {{- "<|start|>user<|message|>" + message.content + "<|end|>" -}}
  {%- elif message.role == "assistant" -%}
    {%- set last = loop.last and not add_generation_prompt -%}
    {%- if last and message.thinking -%}
      {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" -}}
    {%- endif -%}
    {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + ("<|return|>" if last else "<|end|>") -}}
  {%- else -%}
    {{- raise_exception("The demo model knows no messages of role " + message.role) -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|start|>assistant" -}}{%- endif -%}
"""


def write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        out.write(value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    spec = tokenizer_json(vocabulary(corpus(args.seed)))
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>"}
    ids = {t["content"]: t["id"] for t in spec["added_tokens"]}
    write(args.out, "tokenizer.json", spec)
    write(args.out, "special_tokens_map.json", names)
    write(args.out, "tokenizer_config.json", {**names, "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"}
          for t in spec["added_tokens"]}, "clean_up_tokenization_spaces": False, "model_input_names": ["input_ids", "attention_mask"],
          "model_max_length": 4096, "tokenizer_class": "PreTrainedTokenizerFast"})
    write(args.out, "generation_config.json", {"bos_token_id": ids["<|startoftext|>"], "do_sample": False, "eos_token_id":
          [ids["<|return|>"], ids["<|endoftext|>"], ids["<|call|>"]], "pad_token_id": ids["<|endoftext|>"]})
    write(args.out, "chat_template.jinja", TEMPLATE.replace("else IDENTITY", f'else "{data.IDENTITY}"'))


if __name__ == "__main__":
    main()
