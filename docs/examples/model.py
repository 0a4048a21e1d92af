"""A small language model in stages; its weights are called by layer, whatever the stage."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, WORDS, TOKENS, LAYERS = 32, 29, 12, 8


class Block(nn.Module):
    """Attention and a feed-forward net, both on normed inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = (*x.shape[:2], 4, WIDTH // 4)
        q, k, v = (
            part.view(heads).transpose(1, 2) for part in self.qkv(self.before(x)).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        y: Tensor = x + self.down(functional.gelu(self.up(self.after(x))))
        return y


def stages(n_stages: int) -> list[nn.Sequential]:
    """All stages: the same weights, under the same names, for any number of stages."""
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {"words": nn.Embedding(WORDS, WIDTH)}
    layers |= {f"block{number}": Block() for number in range(LAYERS)}
    layers["head"] = nn.Linear(WIDTH, WORDS)
    names = list(layers)
    cuts = [stage * len(names) // n_stages for stage in range(n_stages + 1)]
    return [
        nn.Sequential(OrderedDict((name, layers[name]) for name in names[cuts[i] : cuts[i + 1]]))
        for i in range(n_stages)
    ]


def loss_fn(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, 1), target.flatten())


def batch(rows: int, step: int) -> tuple[Tensor, Tensor]:
    """Words, and the word after each."""
    generator = torch.Generator().manual_seed(step)
    words = torch.randint(WORDS, (rows, TOKENS + 1), generator=generator)
    return words[:, :-1], words[:, 1:]
