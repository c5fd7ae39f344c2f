"""Trains the demo model on one CPU core (a second one makes the data).

    python3 train.py --out build --minutes 75

A learning rate that rises, stays and falls to zero by the clock; from --quantise-from on the forward pass sees MXFP4 experts,
8-bit affine matrices and bf16 vectors (gradients pass straight through). A checkpoint with the optimiser's state is written
every few minutes; the same command goes on from it. Matrices learn with Muon, all else with AdamW.
"""
import argparse
import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import torch

import data
import fast
import model
import tokenizer

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/demo")
_tok = None


def encode(text):
    global _tok
    if _tok is None:
        _tok = tokenizer.Tokenizer(os.path.join(FOLDER, "tokenizer.json"))
    return _tok.encode(text)


def conversations(rng, prefixes, turns):
    """(prefixes, [(prefix number, question, completion)]), all as ids; the turns of a prefix know nothing of each other."""
    more = rng.random() < data.LONGER  # for all alike: the longest prefix of a step is the width of all
    before = [data.prefix(rng, more) for _ in range(prefixes)]
    made = []
    for i in range(turns):
        question, completion = data.turn(rng, before[i % prefixes][1])
        made.append((i % prefixes, encode(question), encode(completion)))
    return [encode(text) for text, _ in before], made


def separate(rng, prefixes, turns):
    """The same as (prefix, question, completion) each."""
    before, made = conversations(rng, prefixes, turns)
    return [(before[owner], question, completion) for owner, question, completion in made]


def pack(prefixes, turns, buckets=6):
    """A fast.Batch; turns of like length share a bucket, so that little is padding."""
    width = max(map(len, prefixes))
    tokens, positions, wanted, layout, at = [], [], [], [], len(prefixes) * width
    for ids in prefixes:
        pad = width - len(ids)
        tokens += ids + [0] * pad
        positions += [*range(len(ids))] + [fast.NOWHERE] * pad
        wanted += [-100] * width
    turns = sorted(turns, key=lambda turn: len(turn[1]) + len(turn[2]))
    for part in np.array_split(np.arange(len(turns)), min(buckets, len(turns))):
        part = [turns[i] for i in part]
        length = max(len(q) + len(c) for _, q, c in part) - 1  # nothing follows the last token
        for owner, q, c in part:
            ids, start = (q + c)[:-1], len(prefixes[owner])
            pad = length - len(ids)
            tokens += ids + [0] * pad
            positions += [*range(start, start + len(ids))] + [fast.NOWHERE] * pad
            wanted += [-100] * (len(q) - 1) + c + [-100] * pad
        layout.append((at, len(part), length, torch.tensor([owner for owner, _, _ in part])))
        at += len(part) * length
    return fast.Batch(torch.tensor(tokens), torch.tensor(positions), (len(prefixes), width), layout, torch.tensor(wanted))


def producer(queue, seed, start, turns):
    os.nice(10)
    torch.set_num_threads(1)
    step = start
    while True:
        queue.put(conversations(random.Random(f"train {seed} {step}"), 8, turns.value))
        step += 1


class Development:
    """Held-out problems, none of them of heldout.jsonl; counts the conversations of which every token would be chosen."""
    def __init__(self, per_task):
        with open(os.path.join(FOLDER, "heldout.jsonl"), encoding="utf-8") as file:
            taken = {json.loads(line)["prompt"] for line in file}
        rng, now = random.Random("development"), data.datetime.date(2026, 1, 15)
        system = encode(f"<|start|>system<|message|>{data.system_text(data.IDENTITY, 'medium', now)}<|end|>")
        self.tasks = []
        for task in data.TASKS:
            turns = []
            while len(turns) < per_task:
                question, completion = data.turn(rng, now, task, heldout=True)
                if question[len("<|start|>user<|message|>"):-len("<|end|><|start|>assistant")] not in taken:
                    turns.append((0, encode(question), encode(completion)))
            self.tasks.append((task, pack([system], turns, 1)))

    @torch.no_grad()
    def measure(self, net, quantise):
        out = {}
        for task, batch in self.tasks:
            right = net.predicted_right(batch, quantise)
            out[task] = round(right.float().mean().item(), 3)
        return out


def orthogonal(g):
    """The nearest matrix with singular values near 1 (Newton-Schulz), for a matrix or a stack of them."""
    x = g.bfloat16()
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.transpose(-2, -1)
    x = x / (x.float().flatten(-2).norm(dim=-1)[..., None, None] + 1e-7).bfloat16()
    for _ in range(5):
        a = x @ x.transpose(-2, -1)
        b = -4.7750 * a + 2.0315 * (a @ a)
        x = 3.4445 * x + b @ x
    return (x.transpose(-2, -1) if flip else x).float()


class Optimiser:
    def __init__(self, net, rate, muon_rate):
        self.matrices, others, tables = [], [], []
        for name, p in net.named_parameters():
            last = name.rsplit(".", 1)[-1]
            if last in ("q_weight", "k_weight", "v_weight", "o_weight", "gate_weight", "up_weight", "down_weight"):
                self.matrices.append(p)
            else:
                (tables if last in ("embed", "lm_head") else others).append(p)
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.adam = torch.optim.AdamW([{"params": tables, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98), eps=1e-9)
        self.rate, self.muon_rate = rate, muon_rate

    @torch.no_grad()
    def step(self, factor):
        for group in self.adam.param_groups:
            group["lr"] = self.rate * factor
        self.adam.step()
        for p, m in zip(self.matrices, self.momentum):
            m.mul_(0.95).add_(p.grad, alpha=0.05)
            step = orthogonal(p.grad.mul(0.05).add_(m, alpha=0.95))
            p.add_(step, alpha=-self.muon_rate * factor * max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5)

    def state(self):
        return {"adam": self.adam.state_dict(), "momentum": self.momentum}

    def load(self, state):
        self.adam.load_state_dict(state["adam"])
        self.momentum = state["momentum"]


def factor(progress, step, decay_from):
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.0, (1 - progress) / (1 - decay_from)))


def state_of(net):
    """The weights; ids that nothing uses get the row of one that is never an answer."""
    state = {k: v.detach().clone() for k, v in net.state_dict().items()}
    unused = torch.ones(state["lm_head"].shape[0], dtype=torch.bool)
    unused[net.used] = False
    state["lm_head"][unused] = state["lm_head"][encode("\x00")[0]].clone()
    return state


def save(path, value):
    torch.save(value, path + ".new")
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--turns", type=int, default=72, help="conversations per step; twice as many at the end")
    parser.add_argument("--lr", type=float, default=1.5e-3, help="of AdamW")
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--decay-from", type=float, default=0.4, help="share of the training")
    parser.add_argument("--quantise-from", type=float, default=0.8, help="share of the training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], help="other sizes, as hidden_size=128")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    net = fast.FastGptOss(model.config_with(args.set))
    encode("")
    net.used = torch.tensor(sorted([*_tok.vocab.values(), *(i for name, i in _tok.special.items() if "reserved" not in name)]))
    opt, path = Optimiser(net, args.lr, args.muon_lr), os.path.join(args.out, "checkpoint.pt")
    step, spent, seen = 0, 0.0, 0
    if os.path.exists(path):
        saved = torch.load(path)
        net.load_state_dict(saved["state"])
        opt.load(saved["optimiser"])
        step, spent, seen = saved["step"], saved["seconds"], saved["tokens"]
    print(f"{sum(p.numel() for p in net.parameters())} parameters, from step {step}", flush=True)
    development, log = Development(16), open(os.path.join(args.out, "train_log.jsonl"), "a")
    queue, turns = multiprocessing.Queue(8), multiprocessing.Value("i", args.turns)
    worker = multiprocessing.Process(target=producer, args=(queue, args.seed, step, turns), daemon=True)
    worker.start()
    began, sums, last_save, last_look = time.time() - spent, [], 0.0, time.time()
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))  # save, then end
    while True:
        progress = (time.time() - began) / (60 * args.minutes)
        if progress >= 1:
            break
        quantised = progress >= args.quantise_from
        turns.value = args.turns * (2 if progress >= 0.93 else 1)
        batch = pack(*queue.get())
        loss, balance, right = net.loss(batch, quantised)
        count = int((batch.wanted >= 0).sum())
        (loss / count + 0.01 * balance).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step(factor(progress, step, args.decay_from))
        net.zero_grad(set_to_none=True)
        seen += batch.tokens.numel()
        sums.append((loss.item(), right.item(), count, float(balance)))
        step += 1
        if step % 50 == 0:
            total = np.array(sums).sum(0)
            row = {"step": step, "loss": round(total[0] / total[2], 4), "right": round(total[1] / total[2], 4), "balance": round(total[3] / len(sums), 3),
                   "tokens": seen, "seconds": round(time.time() - began, 1), "quantised": quantised}
            if time.time() - last_look > 120:
                last_look = time.time()
                row["development"] = development.measure(net, quantised)
            sums.clear()
            log.write(json.dumps(row) + "\n")
            log.flush()
        if time.time() - last_save > 180 or ending:
            last_save = time.time()
            save(path, {"config": net.config, "state": state_of(net), "optimiser": opt.state(), "step": step, "seconds": time.time() - began, "tokens": seen})
        if ending:
            worker.kill()
            raise SystemExit("ended early; the same command goes on")
    worker.kill()
    row = {"step": step, "tokens": seen, "seconds": round(time.time() - began, 1), "plain": development.measure(net, False), "quantised": development.measure(net, True)}
    log.write(json.dumps(row) + "\n")
    state = {"config": net.config, "state": state_of(net)}
    save(path, {**state, "optimiser": opt.state(), "step": step, "seconds": time.time() - began, "tokens": seen})
    save(os.path.join(args.out, "master.pt"), state)
    print(row)


if __name__ == "__main__":
    main()
