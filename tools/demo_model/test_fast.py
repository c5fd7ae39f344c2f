"""python3 test_fast.py: the quick forward pass with shared prefixes against model.py on separate conversations."""
import random

import torch

import fast
import model
import train


def main():
    torch.manual_seed(1)
    config = model.config_with(["hidden_size=64", "num_hidden_layers=2", "num_attention_heads=4", "intermediate_size=64", "num_local_experts=4", "head_dim=32"])
    for quantise in (False, True):
        quick = fast.FastGptOss(config)
        quick.used = torch.arange(config["vocab_size"])
        with torch.no_grad():
            for p in quick.parameters():
                p.add_(torch.randn_like(p) * (0.05 if p.dim() < 3 else 0.3))
        plain = model.GptOss(config)
        plain.load_state_dict(quick.state_dict())
        packed = train.pack(*train.conversations(random.Random(5), 3, 24))
        got, _, _ = quick.loss(packed, quantise)
        got.backward()
        wanted, count = 0.0, 0
        for prefix, question, completion in train.separate(random.Random(5), 3, 24):
            ids = torch.tensor([prefix + question + completion])
            logits, _ = plain(ids, torch.arange(ids.shape[1])[None], torch.zeros_like(ids), quantise=quantise)
            start = len(prefix + question)
            wanted = wanted + torch.nn.functional.cross_entropy(logits[0, start - 1:-1], ids[0, start:], reduction="sum")
            count += len(completion)
        wanted.backward()
        print(f"quantise {quantise}: loss per token {got.item() / count:.4f}, model.py {wanted.item() / count:.4f}")
        assert abs(got.item() / wanted.item() - 1) < 0.02
        for (name, a), (_, b) in zip(quick.named_parameters(), plain.named_parameters()):
            if b.grad is not None and b.grad.norm() > 1e-3:
                same = torch.nn.functional.cosine_similarity(a.grad.flatten(), b.grad.flatten(), dim=0).item()
                print(f"  {name}: cosine {same:.4f}, ratio {(a.grad.norm() / b.grad.norm()).item():.3f}")
                assert same > 0.9, name


if __name__ == "__main__":
    main()
