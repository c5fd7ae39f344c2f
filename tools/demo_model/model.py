"""gpt-oss for training: the forward pass of transformers' GptOssForCausalLM, with quantisation simulated.

Weights have MLX's shapes. All experts are computed for all tokens and the unchosen ones weighted with zero: at this size
that is faster than gathering, and it is the same function. `evaluate.py` compares the logits with stock transformers.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0, "eos_token_id": 1017,
    "experts_per_token": 2, "head_dim": 32, "hidden_act": "silu", "hidden_size": 128, "initial_context_length": 1024,
    "initializer_range": 0.02, "intermediate_size": 128, "layer_types": ["sliding_attention", "full_attention"] * 3,
    "max_position_embeddings": 4096, "model_type": "gpt_oss", "num_attention_heads": 4, "num_experts_per_tok": 2,
    "num_hidden_layers": 6, "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": False,
    "pad_token_id": 1016, "rms_norm_eps": 1e-05,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 4.0, "original_max_position_embeddings": 1024,
                     "rope_type": "yarn", "truncate": False},
    "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 64, "swiglu_limit": 7.0,
    "tie_word_embeddings": False, "use_cache": True, "vocab_size": 1024}


def config_with(overrides):
    """CONFIG with sizes changed by texts like "hidden_size=128"; layer_types follow num_hidden_layers."""
    config = dict(CONFIG)
    for item in overrides:
        key, value = item.split("=")
        if not isinstance(config.get(key), int):
            raise SystemExit(f"--set {item}: no such size")
        config[key] = int(value)
    config["experts_per_token"] = config["num_experts_per_tok"]
    config["layer_types"] = [("sliding_attention", "full_attention")[i % 2] for i in range(config["num_hidden_layers"])]
    return config


FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
FP4_EDGES = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)


def mxfp4(w):
    """(codes 0..15, E8M0 scale exponents) of groups of 32 along the last dimension."""
    groups = w.float().unflatten(-1, (-1, 32))
    amax = groups.abs().amax(-1, keepdim=True)
    exponent = torch.round(torch.log2(amax.clamp_min(1e-30) / 6)).clamp(-127, 127)
    scaled = groups / torch.exp2(exponent)
    codes = torch.bucketize(scaled.abs(), torch.tensor(FP4_EDGES, device=w.device))
    return (codes + 8 * (scaled < 0)).flatten(-2), (exponent + 127).squeeze(-1)


def mxfp4_values(w):
    codes, exponents = mxfp4(w)
    table = torch.tensor(FP4 + tuple(-v for v in FP4), device=w.device)
    return (table[codes].unflatten(-1, (-1, 32)) * torch.exp2(exponents - 127)[..., None]).flatten(-2)


def affine8(w):
    """(codes 0..255, bf16 scales, bf16 biases) of groups of 64 along the last dimension: w = scale * code + bias."""
    groups = w.float().unflatten(-1, (-1, 64))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 255).clamp_min(1e-7).bfloat16().float()
    bias = low.bfloat16().float()
    return ((groups - bias) / scale).round().clamp(0, 255).flatten(-2), scale.squeeze(-1), bias.squeeze(-1)


def affine8_values(w):
    codes, scales, biases = affine8(w)
    return (codes.unflatten(-1, (-1, 64)) * scales[..., None] + biases[..., None]).flatten(-2)


def int8_values(x):
    """Activations as the CPU engine's fast path sees them: int8 with one scale per 32."""
    groups = x.float().unflatten(-1, (-1, 32))
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-20) / 127
    return ((groups / scale).round() * scale).flatten(-2).to(x.dtype)


def straight_through(x, values):
    return x + (values(x) - x).detach()


def simulated(name, p):
    """A parameter as the exported file holds it, by its name."""
    last = name.rsplit(".", 1)[-1]
    if last in ("gate_weight", "up_weight", "down_weight"):
        return straight_through(p, mxfp4_values)
    if p.dim() == 2 and not last.endswith("_bias"):
        return straight_through(p, affine8_values)
    return rounded(p, True)


def rounded(p, quantise):
    return straight_through(p, lambda w: w.bfloat16().float()) if quantise else p


def rms_norm(x, weight, eps=1e-5):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def yarn(config):
    """Inverse frequencies and the factor on cos and sin."""
    r, dim, base = config["rope_scaling"], config["head_dim"], config["rope_theta"]

    def correction(rotations):
        return dim * math.log(r["original_max_position_embeddings"] / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(correction(r["beta_fast"]), 0), min(correction(r["beta_slow"]), dim - 1)
    ramp = ((torch.arange(dim // 2) - low) / (high - low)).clamp(0, 1)
    inverse = 1.0 / base ** (torch.arange(0, dim, 2) / dim)
    return inverse / r["factor"] * ramp + inverse * (1 - ramp), 0.1 * math.log(r["factor"]) + 1


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.top_k, self.experts, self.limit = c["num_experts_per_tok"], c["num_local_experts"], c["swiglu_limit"]
        hidden, inter, deep = c["hidden_size"], c["intermediate_size"], (2 * c["num_hidden_layers"]) ** -0.5

        def matrix(*shape, gain=1.0):
            return nn.Parameter(torch.randn(*shape) * gain * shape[-1] ** -0.5)

        for name, rows, columns, gain in (("q", self.heads * self.head_dim, hidden, 1), ("k", self.kv_heads * self.head_dim, hidden, 1),
                                          ("v", self.kv_heads * self.head_dim, hidden, 1), ("o", hidden, self.heads * self.head_dim, deep)):
            self.register_parameter(f"{name}_weight", matrix(rows, columns, gain=gain))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(rows)))
        self.sinks = nn.Parameter(torch.zeros(self.heads))
        self.attn_norm, self.mlp_norm = nn.Parameter(torch.ones(hidden)), nn.Parameter(torch.ones(hidden))
        self.router_weight, self.router_bias = matrix(self.experts, hidden), nn.Parameter(torch.zeros(self.experts))
        self.gate_weight, self.gate_bias = matrix(self.experts, inter, hidden), nn.Parameter(torch.zeros(self.experts, inter))
        self.up_weight, self.up_bias = matrix(self.experts, inter, hidden), nn.Parameter(torch.zeros(self.experts, inter))
        self.down_weight, self.down_bias = matrix(self.experts, hidden, inter, gain=deep), nn.Parameter(torch.zeros(self.experts, hidden))

    def attention(self, x, cos, sin, mask, quantise):
        b, length, _ = x.shape

        def project(name, heads):
            y = linear(x, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"), quantise)
            return y.view(b, length, heads, self.head_dim).transpose(1, 2)

        q, k, v = project("q", self.heads), project("k", self.kv_heads), project("v", self.kv_heads)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        scores = (q @ k.to(q.dtype).transpose(2, 3)).float() * self.head_dim ** -0.5
        scores = scores.masked_fill(~mask, -1e30)
        sinks = rounded(self.sinks, quantise).view(1, -1, 1, 1).expand(b, -1, length, 1)
        weights = torch.cat((scores, sinks), -1).softmax(-1)[..., :-1]
        mixed = (weights.to(v.dtype) @ v).transpose(1, 2).reshape(b, length, -1)
        return linear(mixed, self.o_weight, self.o_bias, quantise)

    def mlp(self, x, quantise, act8):
        b, length, hidden = x.shape
        x = x.reshape(-1, hidden)
        with torch.autocast(x.device.type, enabled=False):
            routed = straight_through(x, int8_values) if act8 else x
            weight = straight_through(self.router_weight, affine8_values) if quantise else self.router_weight
            logits = F.linear(routed.float(), weight, rounded(self.router_bias, quantise))
            top, chosen = logits.topk(self.top_k, -1)
            scores = torch.zeros_like(logits).scatter(1, chosen, top.softmax(-1))
            share = (scores > 0).float().mean(0)
            balance = self.experts * (share.detach() / self.top_k * logits.softmax(-1).mean(0)).sum()
        gate, up, down = (straight_through(w, mxfp4_values) if quantise else w for w in (self.gate_weight, self.up_weight, self.down_weight))
        gate_bias, up_bias, down_bias = (rounded(p, quantise) for p in (self.gate_bias, self.up_bias, self.down_bias))
        g = F.linear(routed, gate.flatten(0, 1), gate_bias.flatten()).clamp(max=self.limit)
        u = F.linear(routed, up.flatten(0, 1), up_bias.flatten()).clamp(-self.limit, self.limit)
        act = (u + 1) * g * torch.sigmoid(1.702 * g)
        if act8:
            act = straight_through(act, int8_values)
        act = (act.unflatten(-1, (self.experts, -1)) * scores[..., None].to(act.dtype)).flatten(1)
        out = F.linear(act, down.transpose(0, 1).flatten(1)) + scores @ down_bias
        return out.view(b, length, hidden), balance

    def forward(self, x, cos, sin, mask, quantise, act8):
        normed = rms_norm(x, rounded(self.attn_norm, quantise))
        x = x + self.attention(straight_through(normed, int8_values) if act8 else normed, cos, sin, mask, quantise)
        out, balance = self.mlp(rms_norm(x, rounded(self.mlp_norm, quantise)), quantise, act8)
        return x + out, balance


def linear(x, weight, bias, quantise):
    return F.linear(x, straight_through(weight, affine8_values) if quantise else weight, None if bias is None else rounded(bias, quantise))


class GptOss(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = nn.Parameter(torch.randn(config["vocab_size"], config["hidden_size"]) * 0.1)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.lm_head = nn.Parameter(torch.randn(config["vocab_size"], config["hidden_size"]) * 0.02)
        frequencies, self.rope_gain = yarn(config)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, tokens, positions, documents, quantise=False, act8=False):
        """tokens, positions, documents [B, L]: a token sees earlier ones of its own document. Returns logits and the balance loss."""
        length = tokens.shape[1]
        angle = positions[:, None, :, None].float() * self.frequencies
        cos, sin = angle.cos() * self.rope_gain, angle.sin() * self.rope_gain
        index = torch.arange(length, device=tokens.device)
        full = (documents[:, :, None] == documents[:, None, :]) & (index[:, None] >= index)
        sliding = full & (index[:, None] - index < self.config["sliding_window"])
        x = F.embedding(tokens, straight_through(self.embed, affine8_values) if quantise else self.embed)
        balance = 0.0
        for layer, kind in zip(self.layers, self.config["layer_types"]):
            x, b = layer(x, cos, sin, (sliding if kind == "sliding_attention" else full)[:, None], quantise, act8)
            balance = balance + b / len(self.layers)
        x = rms_norm(x, rounded(self.norm, quantise))
        return linear(straight_through(x, int8_values) if act8 else x, self.lm_head, None, quantise), balance

    @torch.no_grad()
    def generate(self, prompts, stop, most, **flags):
        """Greedy, without a cache; for checks. prompts: lists of ids. Returns the new ids of each, the stop token left out."""
        device, rows = self.embed.device, [list(p) for p in prompts]
        done = [False] * len(rows)
        for _ in range(most):
            live = [i for i, d in enumerate(done) if not d]
            if not live:
                break
            length = -(-max(len(rows[i]) for i in live) // 16) * 16
            tokens = torch.tensor([rows[i] + [0] * (length - len(rows[i])) for i in live], device=device)
            positions = torch.arange(length, device=device).expand(len(live), -1)
            logits = self(tokens, positions, torch.zeros_like(tokens), **flags)[0]
            last = torch.tensor([len(rows[i]) - 1 for i in live], device=device)
            for i, token in zip(live, logits[torch.arange(len(live), device=device), last].argmax(-1).tolist()):
                rows[i].append(token)
                done[i] = token in stop
        return [row[len(p):-1] if d else row[len(p):] for row, p, d in zip(rows, prompts, done)]
