"""Trains the demo model.

    python3 train.py --out build --steps 14000

The first part of the steps trains plain weights; from --quantise-from on every forward pass sees MXFP4 experts, 8-bit affine
matrices, bf16 vectors and int8 activations (gradients pass straight through). The same seed and steps give the same data in the
same order. --minutes is a limit: the schedule follows the clock where the steps would take longer.
"""
import argparse
import json
import multiprocessing
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import data
import model
import tokenizer

LENGTH = 512
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/demo")
_tok = None


def batch(task):
    """[4, rows, LENGTH] int16: tokens, positions, documents, whether the token is to be learned; conversations packed into rows."""
    global _tok
    seed, index, rows = task
    if _tok is None:
        _tok = tokenizer.Tokenizer(os.path.join(FOLDER, "tokenizer.json"))
    rng, out = random.Random(f"train {seed} {index}"), np.zeros((4, rows, LENGTH), np.int16)
    out[2] = -1
    row = at = document = 0
    waiting = None
    while row < rows:
        if waiting is None:
            prompt, completion = data.conversation(rng)
            start = _tok.encode(prompt)
            waiting = (start + _tok.encode(completion), len(start))
        ids, prompt_length = waiting
        if at + len(ids) > LENGTH:
            row, at, document = row + 1, 0, 0
            continue
        end = at + len(ids)
        out[0, row, at:end], out[1, row, at:end], out[2, row, at:end] = ids, range(len(ids)), document
        out[3, row, at + prompt_length:end] = 1
        at, document, waiting = end, document + 1, None
    return out


def learning_rate(args, step, progress):
    decay = 1.0 if progress < 0.4 else max(0.0, (1 - progress) / 0.6)
    return args.lr * min(1.0, (step + 1) / 200) * decay


def optimiser(net, args):
    matrices = [p for p in net.parameters() if p.dim() > 1]
    vectors = [p for p in net.parameters() if p.dim() == 1]
    fused = {"fused": True} if args.device == "cuda" else {}
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
                             lr=args.lr, betas=(0.9, 0.98), **fused)


def train_step(net, opt, arrays, rate, device, flags):
    tokens, positions, documents, learned = torch.from_numpy(arrays.astype(np.int64)).to(device)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        logits, balance = net(tokens, positions, documents, **flags)
        wanted = torch.where(learned[:, 1:] == 1, tokens[:, 1:], torch.full_like(tokens[:, 1:], -100))
        loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), wanted.flatten(), ignore_index=-100)
    (loss + 0.01 * balance).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    for group in opt.param_groups:
        group["lr"] = rate
    opt.step()
    opt.zero_grad(set_to_none=True)
    return loss.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=14000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--rows", type=int, default=64, help="rows of 512 tokens per step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--quantise-from", type=float, default=0.4, help="share of the training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--set", nargs="*", default=[], help="other sizes, as hidden_size=128")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.manual_seed(args.seed)
    net = model.GptOss(model.config_with(args.set)).to(args.device)
    opt = optimiser(net, args)
    if args.device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        for layer in net.layers:
            layer.forward = torch.compile(layer.forward, dynamic=False)
    print(f"{sum(p.numel() for p in net.parameters())} parameters on {args.device}", flush=True)
    began, losses = time.time(), []
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool, open(os.path.join(args.out, "train_log.jsonl"), "w") as log:
        tasks = ((args.seed, i, args.rows) for i in range(args.steps))
        step, progress = 0, 0.0
        for step, arrays in enumerate(limited(pool, batch, tasks, 64)):
            progress = max(step / args.steps, (time.time() - began) / (60 * args.minutes))
            if progress >= 1:
                break
            quantised = progress >= args.quantise_from
            losses.append(train_step(net, opt, arrays, learning_rate(args, step, progress), args.device, {"quantise": quantised, "act8": quantised}))
            if step % 100 == 99 or step == args.steps - 1:
                row = {"step": step + 1, "loss": round(torch.stack(losses).mean().item(), 5), "quantised": quantised, "seconds": round(time.time() - began, 1)}
                losses.clear()
                log.write(json.dumps(row) + "\n")
                log.flush()
                if step % 500 == 499 or args.steps < 500:
                    print(row, flush=True)
        pool.terminate()
    state = {k: v.detach().float().cpu() for k, v in net.state_dict().items()}
    torch.save({"config": net.config, "state": state}, os.path.join(args.out, "master.pt"))
    print(f"{step + 1} steps in {time.time() - began:.0f} s")


def limited(pool, function, tasks, ahead):
    """pool.imap in order, with at most `ahead` results waiting."""
    waiting = []
    for task in tasks:
        waiting.append(pool.apply_async(function, (task,)))
        if len(waiting) >= ahead:
            yield waiting.pop(0).get()
    for result in waiting:
        yield result.get()


if __name__ == "__main__":
    main()
