"""Measures the exported folder with stock transformers, and before quantisation where the master weights are given.

    python3 evaluate.py --model ../../models/demo --master build/master.pt --out build/evaluation

Reads the MLX files from their bytes (not through the training's code), dequantises them into GptOssForCausalLM in float32,
compares its logits with the training's forward pass, answers held-out prompts greedily, and keeps the ids of some answers.
"""
import argparse
import json
import os
import re
import struct

import numpy as np
import torch

import data
import model
import tokenizer

FP4 = np.array(model.FP4 + tuple(-v for v in model.FP4), np.float32)
USER = {"reasoning_effort": "minimal", "model_identity": "You are a helpful assistant."}
SETTINGS = {"default": {}, "minimal": USER, "low": {**USER, "reasoning_effort": "low"}, "high": {"reasoning_effort": "high"}}


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


def score(rows, answers, tok):
    """Right answers per task, and the wrong ones."""
    right, wrong = {}, []
    for row, ids in zip(rows, answers):
        text = tok.decode(ids)
        final = re.search(r"<\|channel\|>final<\|message\|>(.*)$", text, re.S)
        good = bool(final) and data.contains_answer(final.group(1), row["answer"])
        right.setdefault(row["task"], []).append(good)
        if not good:
            wrong.append({**row, "text": text})
    flat = [g for part in right.values() for g in part]
    return {"right": sum(flat), "of": len(flat), "by_task": {t: f"{sum(g)}/{len(g)}" for t, g in sorted(right.items())}, "wrong": wrong[:40]}


def logits_difference(net, own, prompts, device):
    worst = 0.0
    for ids in prompts[:8]:
        tokens = torch.tensor([ids], device=device)
        with torch.no_grad():
            ours = own(tokens, torch.arange(len(ids), device=device)[None], torch.zeros_like(tokens))[0]
            worst = max(worst, (net(input_ids=tokens).logits - ours).abs().max().item())
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--master")
    parser.add_argument("--out", required=True)
    parser.add_argument("--more", type=int, default=1600, help="further held-out problems, beside the 200 of heldout.jsonl")
    parser.add_argument("--own", action="store_true", help="without transformers: the training's forward pass alone")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    with open(os.path.join(args.model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(args.model, "heldout.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with open(os.path.join(args.model, "generation_config.json"), encoding="utf-8") as file:
        generation = json.load(file)
    tok, stop, pad = tokenizer.Tokenizer(os.path.join(args.model, "tokenizer.json")), generation["eos_token_id"], generation["pad_token_id"]
    quantised = plain_weights(read_safetensors(os.path.join(args.model, "model.safetensors")))
    more, result = data.heldout_set(args.more, 2), {}

    def measure(name, answer, questions, setting):
        prompts = prompts_of(questions, tok, SETTINGS[setting])
        answers = answer(prompts)
        result[name] = score(questions, answers, tok)
        print(name, result[name]["right"], "of", result[name]["of"], result[name]["by_task"], flush=True)
        return prompts, answers

    own = our_model(quantised, config, args.device)
    for setting in ("default", "minimal"):  # what the CPU engine's fast path does to activations
        measure(f"quantised, int8 activations, {setting}", lambda p: own.generate(p, stop, 400, act8=True), rows, setting)
    if not args.own:
        check_tokenizer(args.model, tok, rows)
        net = transformers_model(quantised, config, args.device)
        result["largest logit difference to the training's forward pass"] = logits_difference(net, own, prompts_of(rows, tok, {}), args.device)
        print("largest logit difference", result["largest logit difference to the training's forward pass"])
        kept = {s: measure(f"quantised, {s}", lambda p: generate(net, p, stop, 400, pad), rows, s) for s in SETTINGS}
        measure("quantised, default, more", lambda p: generate(net, p, stop, 400, pad), more, "default")
        prompts, answers = kept["minimal"]
        with open(os.path.join(args.out, "golden_answers.jsonl"), "w", encoding="utf-8") as out:
            for row, prompt, answer in [*zip(rows, prompts, answers)][:16]:
                out.write(json.dumps({"id": row["id"], "date": "2026-01-15", "kwargs": USER, "prompt_ids": prompt, "answer_ids": answer}) + "\n")
        if args.master:
            saved = torch.load(args.master, map_location="cpu")
            float_net = transformers_model(mlx_names(saved["state"], config["num_hidden_layers"]), config, args.device)
            for setting in ("default", "minimal"):
                measure(f"before quantisation, {setting}", lambda p: generate(float_net, p, stop, 400, pad), rows, setting)
            measure("before quantisation, default, more", lambda p: generate(float_net, p, stop, 400, pad), more, "default")
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
