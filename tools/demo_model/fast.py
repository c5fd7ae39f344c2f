"""The forward pass of model.py made quick on one CPU core, for training: bf16 matrix products with f32 sums and f32 weights,
kernels.c for what lies between them, only the chosen experts, and one system message shared by many conversations.

`test_fast.py` compares losses and gradients with model.py.
"""
import ctypes
import os
import subprocess
import tempfile

import torch
import torch.nn.functional as F

import model

HERE = os.path.dirname(os.path.abspath(__file__))


def build():
    path = os.path.join(tempfile.mkdtemp(prefix="demo_model_"), "kernels.so")
    subprocess.run(["gcc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC", "-o", path,
                    os.path.join(HERE, "kernels.c"), "-lm"], check=True)
    return ctypes.CDLL(path)


KERNELS = build()


def call(name, *args):
    """Tensors as their addresses, ints as long, floats as float."""
    kinds = []
    for a in args:
        if isinstance(a, torch.Tensor):
            assert a.is_contiguous()
            kinds.append(ctypes.c_void_p(a.data_ptr()))
        else:
            kinds.append(ctypes.c_float(a) if isinstance(a, float) else ctypes.c_long(a))
    getattr(KERNELS, name)(*kinds)


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        rows, n = x.shape
        y, scale = torch.empty_like(x, dtype=torch.bfloat16), torch.empty(rows)
        call("norm_forward", x, weight, y, scale, rows, n)
        ctx.save_for_backward(x, weight, scale)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, scale = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.zeros_like(weight)
        call("norm_backward", x, weight, scale, dy.contiguous(), dx, dw, *x.shape)
        return dx, dw


class Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, both):
        rows, n = both.shape[0], both.shape[1] // 2
        out = torch.empty(rows, n, dtype=torch.bfloat16)
        call("swiglu_forward", both, out, rows, n)
        ctx.save_for_backward(both)
        return out

    @staticmethod
    def backward(ctx, d):
        both, = ctx.saved_tensors
        out = torch.empty_like(both)
        call("swiglu_backward", both, d.contiguous(), out, d.shape[0], d.shape[1])
        return out


class Rope(torch.autograd.Function):
    """Rotates the first `heads` heads of qkv in place."""
    @staticmethod
    def forward(ctx, qkv, cos, sin, positions, heads, dim):
        ctx.mark_dirty(qkv)
        ctx.save_for_backward(cos, sin, positions)
        ctx.sizes = heads, dim
        call("rope", qkv, cos, sin, positions, qkv.shape[0], qkv.shape[1], heads, dim, 1.0)
        return qkv

    @staticmethod
    def backward(ctx, d):
        d = d.contiguous()
        call("rope", d, *ctx.saved_tensors, d.shape[0], d.shape[1], *ctx.sizes, -1.0)
        return d, None, None, None, None, None


class Softmax(torch.autograd.Function):
    """scores [n, kv * repeat * queries, keys] to probabilities in place."""
    @staticmethod
    def forward(ctx, scores, sinks, query_positions, key_positions, window, scale):
        (n, queries), keys, heads = query_positions.shape, key_positions.shape[1], sinks.numel()
        share = torch.empty(n * heads * queries)
        call("softmax_forward", scores, sinks, query_positions, key_positions, share, n, heads, queries, keys, window, scale)
        ctx.mark_dirty(scores)
        ctx.save_for_backward(scores, share)
        ctx.sizes = n, heads, queries, keys, scale
        return scores

    @staticmethod
    def backward(ctx, d):
        p, share = ctx.saved_tensors
        d, dsinks = d.contiguous(), torch.zeros(ctx.sizes[1])
        call("softmax_backward", p, d, share, dsinks, *ctx.sizes)
        return d, dsinks, None, None, None, None


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, place):
        out = torch.empty(place.numel(), x.shape[1], dtype=torch.bfloat16)
        call("spread", x, place, out, x.shape[0], place.shape[1], x.shape[1])
        ctx.save_for_backward(place)
        return out

    @staticmethod
    def backward(ctx, d):
        place, = ctx.saved_tensors
        out = torch.empty(place.shape[0], d.shape[1], dtype=torch.bfloat16)
        call("gather", d.contiguous(), place, out, *place.shape, d.shape[1])
        return out, None


class Combine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y, weights, place):
        out = torch.empty_like(x)
        call("combine_forward", x, y, weights, place, out, *place.shape, x.shape[1])
        ctx.save_for_backward(y, weights, place)
        return out

    @staticmethod
    def backward(ctx, g):
        y, weights, place = ctx.saved_tensors
        g, dy, dw = g.contiguous(), torch.empty_like(y), torch.empty_like(weights)
        call("combine_backward", g, y, weights, place, dy, dw, *place.shape, g.shape[1])
        return g, dy, dw, None


class Grouped(torch.autograd.Function):
    """Rows counts[0] through weight[0], the next counts[1] through weight[1], ..."""
    @staticmethod
    def forward(ctx, x, weight, bias, counts):
        weight, bias, out = weight.bfloat16(), bias.bfloat16(), torch.empty(x.shape[0], weight.shape[1], dtype=torch.bfloat16)
        at = 0
        for e, count in enumerate(counts):
            if count:
                out[at:at + count] = torch.addmm(bias[e], x[at:at + count], weight[e].t())
            at += count
        ctx.save_for_backward(x, weight)
        ctx.counts = counts
        return out

    @staticmethod
    def backward(ctx, d):
        (x, weight), d, at = ctx.saved_tensors, d.contiguous(), 0
        dx, dw, db = torch.empty_like(x), torch.zeros(weight.shape), torch.zeros(weight.shape[:2])
        ones = torch.ones(1, d.shape[0], dtype=torch.bfloat16)
        for e, count in enumerate(ctx.counts):
            if count:
                part = d[at:at + count]
                dx[at:at + count] = part @ weight[e]
                dw[e] = part.t() @ x[at:at + count]
                db[e] = (ones[:, :count] @ part)[0]
            at += count
        return dx, dw, db, None


def dense(x, weight, bias):
    return F.linear(x, weight.bfloat16(), bias.bfloat16())


class Batch:
    """What `train.py` makes of a list of conversations; see pack() there.

    tokens [T] all rows one after the other: prefixes [B, P], then for every bucket its turns [n, L]; positions [T];
    buckets: (first row, n, L, prefix of each turn [n]); wanted [T]: the token to be learned, or -100.
    """
    def __init__(self, tokens, positions, prefixes, buckets, wanted):
        self.tokens, self.positions, self.prefixes, self.buckets, self.wanted = tokens, positions, prefixes, buckets, wanted


NOWHERE = 1 << 20  # the position of padding: after every query


class FastGptOss(model.GptOss):
    used = None  # ids that occur; the others take part in nothing

    def weights(self, quantise):
        """Every parameter, as the forward pass sees it."""
        named = dict(self.named_parameters())
        if quantise:
            named = {name: model.simulated(name, p) for name, p in named.items()}
        return named

    def attention(self, x, named, at, batch, window, cos, sin):
        layer = self.layers[0]
        heads, kv, dim = layer.heads, layer.kv_heads, layer.head_dim
        weight = torch.cat([named[f"{at}{n}_weight"] for n in "qkv"])
        bias = torch.cat([named[f"{at}{n}_bias"] for n in "qkv"])
        qkv = Rope.apply(dense(x, weight, bias), cos, sin, batch.rope_positions, heads + kv, dim)

        def split(rows, n, length):
            part = qkv[rows:rows + n * length].view(n, length, -1, dim).transpose(1, 2)
            return part[:, :heads], part[:, heads:heads + kv], part[:, heads + kv:]

        def mixed(q, k, v, query_positions, key_positions):
            n, _, length, _ = q.shape
            keys = k.shape[2]
            q = q.reshape(n * kv, heads // kv * length, dim)
            k, v = k.reshape(n * kv, keys, dim), v.reshape(n * kv, keys, dim)
            p = Softmax.apply(torch.bmm(q, k.transpose(1, 2)), named[f"{at}sinks"], query_positions, key_positions, window, dim ** -0.5)
            return torch.bmm(p, v).view(n, heads, length, dim).transpose(1, 2).reshape(n * length, heads * dim)

        b, p = batch.prefixes
        q, pk, pv = split(0, b, p)
        out = [mixed(q, pk, pv, batch.prefix_positions, batch.prefix_positions)]
        for (first, n, length, owner), query_positions, key_positions in zip(batch.buckets, batch.query_positions, batch.key_positions):
            q, k, v = split(first, n, length)
            out.append(mixed(q, torch.cat((pk[owner], k), 2), torch.cat((pv[owner], v), 2), query_positions, key_positions))
        return dense(torch.cat(out), named[f"{at}o_weight"], named[f"{at}o_bias"])

    def experts(self, x, normed, named, at):
        top_k, experts = self.layers[0].top_k, self.layers[0].experts
        logits = F.linear(normed, named[f"{at}router_weight"].bfloat16()).float() + named[f"{at}router_bias"]
        top, chosen = logits.topk(top_k, -1)
        scores = top.softmax(-1)
        flat = chosen.flatten()
        order = torch.argsort(flat, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(order.numel())
        place = place.view_as(chosen)
        counts = torch.bincount(flat, minlength=experts)
        share = counts.float() / flat.numel()
        balance = experts * (share * logits.softmax(-1).mean(0)).sum()
        counts = counts.tolist()
        both_weight = torch.cat((named[f"{at}gate_weight"], named[f"{at}up_weight"]), 1)
        both_bias = torch.cat((named[f"{at}gate_bias"], named[f"{at}up_bias"]), 1)
        act = Swiglu.apply(Grouped.apply(Spread.apply(normed, place), both_weight, both_bias, counts))
        y = Grouped.apply(act, named[f"{at}down_weight"], named[f"{at}down_bias"], counts)
        return Combine.apply(x, y, scores, place), balance

    def logits(self, batch, quantise):
        """(logits over `used` of the rows with a wanted token, the places of those tokens in `used`, the balance loss)."""
        named = self.weights(quantise)
        angle = torch.arange(1024)[:, None].float() * self.frequencies
        cos, sin = (angle.cos() * self.rope_gain).contiguous(), (angle.sin() * self.rope_gain).contiguous()
        prepare(batch)
        x = F.embedding(batch.tokens, named["embed"])
        balance = 0.0
        for i, kind in enumerate(self.config["layer_types"]):
            at = f"layers.{i}."
            window = self.config["sliding_window"] if kind == "sliding_attention" else 1 << 19
            x = x + self.attention(Norm.apply(x, named[f"{at}attn_norm"]), named, at, batch, window, cos, sin).float()
            x, b = self.experts(x, Norm.apply(x, named[f"{at}mlp_norm"]), named, at)
            balance = balance + b / len(self.layers)
        rows = (batch.wanted >= 0).nonzero()[:, 0]
        x = Norm.apply(x.index_select(0, rows), named["norm"])
        logits = F.linear(x, named["lm_head"].index_select(0, self.used).bfloat16()).float()
        return logits, torch.searchsorted(self.used, batch.wanted[rows]), balance

    def loss(self, batch, quantise=False):
        """(sum of the losses of the wanted tokens, the balance loss, how many were predicted right)."""
        logits, wanted, balance = self.logits(batch, quantise)
        return F.cross_entropy(logits, wanted, reduction="sum"), balance, (logits.detach().argmax(-1) == wanted).float().sum()

    def predicted_right(self, batch, quantise):
        """For every turn of the only bucket, whether each of its wanted tokens has the highest logit."""
        logits, wanted, _ = self.logits(batch, quantise)
        (first, n, length, _), = batch.buckets
        right = torch.ones(batch.wanted.numel(), dtype=torch.bool)
        right[batch.wanted >= 0] = logits.argmax(-1) == wanted
        return right[first:first + n * length].view(n, length).all(1)


def prepare(batch):
    """The positions in the forms that the kernels want."""
    b, p = batch.prefixes
    positions = batch.positions.int()
    batch.rope_positions = positions.masked_fill(positions == NOWHERE, 0).contiguous()
    batch.prefix_positions = positions[:b * p].view(b, p).contiguous()
    batch.query_positions, batch.key_positions = [], []
    for first, n, length, owner in batch.buckets:
        own = positions[first:first + n * length].view(n, length)
        batch.query_positions.append(own.contiguous())
        batch.key_positions.append(torch.cat((batch.prefix_positions[owner], own), 1).contiguous())
