"""Measures the exported folder: the training's forward pass in float32, the chorus program, and stock transformers where installed.

    python3 evaluate.py --model ../../models/demo --master build/master.pt --program ../../build/release/src/app/cli/chorus --out build/evaluation

Reads the MLX files from their bytes (not through export.py). --master adds the weights before quantisation, --program compares logits
and answers of the built chorus, --transformers those of GptOssForCausalLM. Decoding is greedy, and the held-out prompts are those of
heldout.jsonl (and --more others).
"""
import argparse
import json
import os
import re
import struct
import subprocess

import numpy as np
import torch

import data
import model
import tokenizer

FP4 = np.array(model.FP4 + tuple(-v for v in model.FP4), np.float32)
SETTINGS = {"default": {}, "minimal": {"reasoning_effort": "minimal"}, "helpful": {"model_identity": "You are a helpful assistant."}}


def read_safetensors(path):
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack("<Q", raw[:8])[0]
    header, out = json.loads(raw[8:8 + size]), {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in entry["data_offsets"])
            kind = {"BF16": np.uint16, "U32": np.uint32, "U8": np.uint8}[entry["dtype"]]
            values = np.frombuffer(raw[begin:end], kind).reshape(entry["shape"])
            out[name] = (values.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else values
    return out


def unpacked(words, bits):
    fields = words[..., None] >> np.arange(0, 32, bits, dtype=np.uint32) & np.uint32(2 ** bits - 1)
    return fields.reshape(*words.shape[:-1], -1)


def dequantised(named, name):
    words, scales = named[f"{name}.weight"], named[f"{name}.scales"]
    if scales.dtype == np.uint8:
        factors = np.exp2(scales.astype(np.float32) - 127)
        return FP4[unpacked(words, 4)] * np.repeat(factors, 32, -1)
    return unpacked(words, 8).astype(np.float32) * np.repeat(scales, 64, -1) + np.repeat(named[f"{name}.biases"], 64, -1)


def plain_weights(named):
    """MLX's tensors, all as float32 and without quantisation."""
    return {k: torch.from_numpy(dequantised(named, k[:-7]) if v.dtype == np.uint32 else v.copy())
            for k, v in named.items() if not k.endswith((".scales", ".biases"))}


def mlx_names(state, layers):
    """The master weights under MLX's names."""
    out = {"model.embed_tokens.weight": state["embed"], "lm_head.weight": state["lm_head"], "model.norm.weight": state["norm"]}
    names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj", "router": "mlp.router",
             "gate": "mlp.experts.gate_proj", "up": "mlp.experts.up_proj", "down": "mlp.experts.down_proj"}
    for i in range(layers):
        for short, name in names.items():
            for part in ("weight", "bias"):
                out[f"model.layers.{i}.{name}.{part}"] = state[f"layers.{i}.{short}_{part}"]
        for ours, name in (("sinks", "self_attn.sinks"), ("attn_norm", "input_layernorm.weight"), ("mlp_norm", "post_attention_layernorm.weight")):
            out[f"model.layers.{i}.{name}"] = state[f"layers.{i}.{ours}"]
    return out


def transformers_model(weights, config, device):
    from transformers import GptOssConfig, GptOssForCausalLM
    settings = {k: v for k, v in config.items() if not k.startswith("quantization") and k not in ("architectures", "experts_per_token")}
    net = GptOssForCausalLM(GptOssConfig(**settings, attn_implementation="eager")).float().eval()
    state = {k: v for k, v in weights.items() if ".experts." not in k}
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}.mlp.experts."
        part = {k: weights[at + k] for k in ("gate_proj.weight", "up_proj.weight", "down_proj.weight", "gate_proj.bias", "up_proj.bias", "down_proj.bias")}
        state[at + "gate_up_proj"] = torch.stack((part["gate_proj.weight"], part["up_proj.weight"]), 2).flatten(1, 2).transpose(1, 2).contiguous()
        state[at + "gate_up_proj_bias"] = torch.stack((part["gate_proj.bias"], part["up_proj.bias"]), -1).flatten(1)
        state[at + "down_proj"] = part["down_proj.weight"].transpose(1, 2).contiguous()
        state[at + "down_proj_bias"] = part["down_proj.bias"]
    net.load_state_dict(state, strict=True)
    return net.to(device)


def our_model(weights, config, device):
    net = model.GptOss(config)
    theirs_to_ours = mlx_names({k: k for k in net.state_dict()}, config["num_hidden_layers"])
    net.load_state_dict({ours: weights[theirs] for theirs, ours in theirs_to_ours.items()})
    return net.to(device).eval()


def prompts_of(rows, tok, setting, date="2026-01-15"):
    identity, effort = setting.get("model_identity", data.IDENTITY), setting.get("reasoning_effort", "medium")
    system = f"<|start|>system<|message|>{data.system_text(identity, effort, date)}<|end|>"
    return [tok.encode(f"{system}<|start|>user<|message|>{row['prompt']}<|end|><|start|>assistant") for row in rows]


@torch.no_grad()
def generate(net, prompts, stop, most, pad):
    """Greedy answers of stock transformers, padded on the left, 256 at a time."""
    out = []
    for begin in range(0, len(prompts), 256):
        part = prompts[begin:begin + 256]
        width = max(map(len, part))
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in part], device=net.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in part], device=net.device)
        made = net.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=most, eos_token_id=stop, pad_token_id=pad)
        for row in made[:, width:].tolist():
            ends = [i for i, t in enumerate(row) if t in stop]
            out.append(row[:ends[0]] if ends else row)
    return out


def score(rows, texts):
    """Right answers per task, and the wrong ones."""
    right, wrong = {}, []
    for row, text in zip(rows, texts):
        final = re.search(r"<\|channel\|>final<\|message\|>(.*?)(?:<\|return\|>)?$", text, re.S)
        good = bool(final) and data.contains_answer(final.group(1), row["answer"])
        right.setdefault(row["task"], []).append(good)
        if not good:
            wrong.append({**row, "text": text})
    flat = [g for part in right.values() for g in part]
    return {"right": sum(flat), "of": len(flat), "by_task": {t: f"{sum(g)}/{len(g)}" for t, g in sorted(right.items())}, "wrong": wrong[:40]}


@torch.no_grad()
def own_logits(own, ids, **flags):
    tokens = torch.tensor([ids], device=own.embed.device)
    return own(tokens, torch.arange(len(ids), device=tokens.device)[None], torch.zeros_like(tokens), **flags)[0][0]


def program_logits(program, folder, ids, out, precision):
    """The logits of `chorus logits`."""
    path = os.path.join(out, "logits.safetensors")
    subprocess.run([program, "logits", "--model", folder, "--device", "cpu", "--precision", precision, "--tokens", ",".join(map(str, ids)),
                    "--output", path], check=True)
    with open(path, "rb") as file:
        raw = file.read()
    begin = 8 + struct.unpack("<Q", raw[:8])[0]
    return torch.from_numpy(np.frombuffer(raw[begin:], np.float32).reshape(len(ids), -1).copy())


def program_answers(program, folder, rows, out, *options):
    """The rows' answers by `chorus batch`, as text with markers."""
    given, made = os.path.join(out, "rows.jsonl"), os.path.join(out, "answers.jsonl")
    data.write_jsonl(given, [{"id": str(i), "prompt": row["prompt"]} for i, row in enumerate(rows)])
    subprocess.run([program, "batch", "--model", folder, "--input", given, "--output", made, "--overwrite", "--device", "cpu", "--date", "2026-01-15",
                    "--max-tokens", "400", "--quiet", *options], check=True)
    with open(made, encoding="utf-8") as file:
        texts = {line["id"]: line["text"] for line in map(json.loads, file)}
    return [texts[str(i)] for i in range(len(rows))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--master")
    parser.add_argument("--program")
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--out", required=True)
    parser.add_argument("--more", type=int, default=0, help="further held-out problems, beside the 200 of heldout.jsonl")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(args.model, "heldout.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with open(os.path.join(args.model, "generation_config.json"), encoding="utf-8") as file:
        generation = json.load(file)
    tok, stop, pad = tokenizer.Tokenizer(os.path.join(args.model, "tokenizer.json")), generation["eos_token_id"], generation["pad_token_id"]
    quantised, result = plain_weights(read_safetensors(os.path.join(args.model, "model.safetensors"))), {}
    sets = {"heldout.jsonl": rows, **({"more": data.heldout_set(args.more, 2)} if args.more else {})}

    def measure(name, texts):
        """`texts` answers rows with text that has the markers in it."""
        for which, questions in sets.items():
            entry = result[f"{name}, {which}"] = score(questions, texts(questions))
            print(f"{name}, {which}:", entry["right"], "of", entry["of"], entry["by_task"], flush=True)

    def by(generated):
        return lambda questions: [tok.decode(ids) for ids in generated(prompts_of(questions, tok, SETTINGS["default"]))]

    own = our_model(quantised, config, args.device)
    ids = [prompt + tok.encode("<|channel|>analysis<|message|>") for prompt in prompts_of(rows, tok, {})]
    if args.program:
        for precision in ("exact", "fast"):
            worst = max((program_logits(args.program, args.model, p, args.out, precision) - own_logits(own, p)).abs().max().item() for p in ids[:16])
            result[f"largest logit difference, chorus {precision}"] = worst
            print(f"largest logit difference, chorus {precision}: {worst:.2g}")
        for effort in ("medium", "minimal", "high"):
            measure(f"chorus, fast, effort {effort}", lambda q: program_answers(args.program, args.model, q, args.out, "--reasoning-effort", effort))
        measure("chorus, exact", lambda q: program_answers(args.program, args.model, q, args.out, "--precision", "exact"))
    else:
        measure("quantised, float32", by(lambda p: own.generate(p, stop, 400)))
    if args.master:
        saved = torch.load(args.master, map_location="cpu")
        names = mlx_names(saved["state"], config["num_hidden_layers"])
        full = our_model(names, config, args.device)
        measure("before quantisation, float32", by(lambda p: full.generate(p, stop, 400)))
    if args.transformers:
        check_tokenizer(args.model, tok, rows)
        net = transformers_model(quantised, config, args.device)
        with torch.no_grad():
            worst = max((net(input_ids=torch.tensor([p], device=args.device)).logits[0] - own_logits(own, p)).abs().max().item() for p in ids[:16])
        result["largest logit difference, transformers"] = worst
        print(f"largest logit difference, transformers: {worst:.2g}")
        measure("transformers, quantised", by(lambda p: generate(net, p, stop, 400, pad)))
    with open(os.path.join(args.out, "evaluation.json"), "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)


def check_tokenizer(folder, tok, rows):
    """Our encoder against the tokenizers library."""
    from tokenizers import Tokenizer
    reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    for row in rows:
        for ids, text in zip(prompts_of([row], tok, {}), [row["prompt"]]):
            assert reference.encode(text, add_special_tokens=False).ids == tok.encode(text), text
            assert reference.encode(tok.decode(ids), add_special_tokens=False).ids == ids, text


if __name__ == "__main__":
    main()
