"""Writes the MLX folder (MXFP4-Q8) from the trained weights:  python3 export.py --master build/master.pt --out ../../models/demo"""
import argparse
import json
import os
import struct

import numpy as np
import torch

import model

LINEARS = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj", "router": "mlp.router"}


def packed(codes, bits):
    """uint32 words, lowest code first, along the last dimension."""
    per_word = 32 // bits
    codes = codes.numpy().astype(np.uint32).reshape(*codes.shape[:-1], -1, per_word)
    return np.bitwise_or.reduce(codes << (np.arange(per_word, dtype=np.uint32) * np.uint32(bits)), axis=-1).astype(np.uint32)


def bf16(tensor):
    bits = tensor.float().bfloat16().float().numpy().view(np.uint32)
    return ("BF16", (bits >> 16).astype(np.uint16))


def affine(out, name, weight):
    codes, scales, biases = model.affine8(weight)
    out[f"{name}.weight"], out[f"{name}.scales"], out[f"{name}.biases"] = ("U32", packed(codes, 8)), bf16(scales), bf16(biases)


def tensors(state, layers):
    out = {}
    affine(out, "model.embed_tokens", state["embed"])
    affine(out, "lm_head", state["lm_head"])
    out["model.norm.weight"] = bf16(state["norm"])
    for i in range(layers):
        here, there = f"layers.{i}.", f"model.layers.{i}."
        for short, name in LINEARS.items():
            affine(out, there + name, state[f"{here}{short}_weight"])
            out[f"{there}{name}.bias"] = bf16(state[f"{here}{short}_bias"])
        for short in ("gate", "up", "down"):
            codes, exponents = model.mxfp4(state[f"{here}{short}_weight"])
            name = f"{there}mlp.experts.{short}_proj"
            out[f"{name}.weight"] = ("U32", packed(codes, 4))
            out[f"{name}.scales"] = ("U8", exponents.numpy().astype(np.uint8))
            out[f"{name}.bias"] = bf16(state[f"{here}{short}_bias"])
        out[f"{there}self_attn.sinks"] = bf16(state[here + "sinks"])
        out[f"{there}input_layernorm.weight"] = bf16(state[here + "attn_norm"])
        out[f"{there}post_attention_layernorm.weight"] = bf16(state[here + "mlp_norm"])
    return dict(sorted(out.items()))


def write_safetensors(path, named):
    header, at = {"__metadata__": {"format": "mlx"}}, 0
    named = dict(sorted(named.items(), key=lambda item: -item[1][1].itemsize))  # the widest first keeps all aligned
    for name, (dtype, values) in named.items():
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in named.values():
            file.write(np.ascontiguousarray(values).tobytes())
    return at


def quantization(layers):
    q8 = {"group_size": 64, "bits": 8, "mode": "affine"}
    block = {"group_size": 32, "bits": 4, "mode": "mxfp4", "model.embed_tokens": q8}
    for i in range(layers):
        for short, name in LINEARS.items():
            block[f"model.layers.{i}.{name}"] = q8 if short != "router" else {"group_size": 64, "bits": 8}
    return {**block, "lm_head": q8}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--master", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    saved = torch.load(args.master, map_location="cpu")
    layers = saved["config"]["num_hidden_layers"]
    named = tensors(saved["state"], layers)
    size = write_safetensors(os.path.join(args.out, "model.safetensors"), named)
    block = quantization(layers)
    config = dict(sorted({**saved["config"], "quantization": block, "quantization_config": block}.items()))
    index = {"metadata": {"total_size": size, "total_parameters": sum(v.numel() for v in saved["state"].values())},
             "weight_map": {name: "model.safetensors" for name in sorted(named)}}
    for name, value in (("config.json", config), ("model.safetensors.index.json", index)):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as out:
            out.write(json.dumps(value, indent=4 if name == "config.json" else 1) + "\n")
    total = sum(entry.stat().st_size for entry in os.scandir(args.out) if entry.is_file())
    print(f"{args.out}: {total} bytes")
    if total > 8_000_000:
        raise SystemExit("the folder is larger than 8,000,000 bytes")


if __name__ == "__main__":
    main()
