"""The Llama family as blocks that run one after the other: Llama, Mistral, Qwen2 and Qwen3.

    tokens ─► embedding ─► block ─► ... ─► block ─► norm ─► head ─► logits
    (batch, sequence)                                      (batch, sequence, vocabulary)

    block:  x + attention(norm(x)), then x + down(silu(gate) * up) of its norm

Sources: Touvron et al. 2023, arXiv 2302.13971, section 2.2 (norms, gated feed-forward, rotary
positions); Ainslie et al. 2023, arXiv 2305.13245 (query heads in groups share keys and values);
Jiang et al. 2023, arXiv 2310.06825 (window). Products are rounded where the published
checkpoints were trained to round them, so that bfloat16 comes out alike too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ...stages.transformer import embedding


@dataclass(frozen=True)
class Rope:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864): pair i of a head turns by
    `theta ** (-2i / head_width)` radians per token.

    factor: all frequencies are divided by it. blend: (low, high, length): only those of pairs that
    turn less than `low` times in `length` tokens are, those above `high` are kept, and between them
    the two are mixed (Llama 3.1).
    """

    theta: float = 10_000.0
    factor: float = 1.0
    blend: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Llama:
    """Sizes and kinds of a model.

    windows: for every layer how many tokens one sees, itself included; 0 for all before it.
    head_norms: queries and keys are normed head by head (Qwen3). dtype: of all weights.
    """

    windows: tuple[int, ...]
    width: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    vocabulary: int
    epsilon: float = 1e-6
    rope: Rope = Rope()
    tied: bool = False
    query_biases: bool = False
    out_bias: bool = False
    feed_biases: bool = False
    head_norms: bool = False
    dtype: str = "float32"


def llama_of(recipe: Mapping[str, Any]) -> Llama:
    """The model that `dataclasses.asdict` was taken of, after a journey through JSON."""
    rope = dict(recipe["rope"])
    blend = rope.pop("blend")
    known = Rope(**rope, blend=None if blend is None else tuple(blend))
    return Llama(**{**recipe, "rope": known, "windows": tuple(recipe["windows"])})


def llama_modules(llama: Llama) -> list[nn.Module]:
    """Embedding, a block per layer, final norm, head; tied weights are one tensor."""
    dtype = getattr(torch, llama.dtype)
    table = embedding(llama.vocabulary, llama.width, dtype)
    head = nn.Linear(llama.width, llama.vocabulary, bias=False, dtype=dtype)
    if llama.tied:
        head.weight = table.weight
    blocks = [Block(llama, window) for window in llama.windows]
    return [table, *blocks, Norm(llama.width, llama.epsilon, dtype), head]


class Norm(nn.Module):
    """Divides by the root of the mean square, in float32, then scales."""

    def __init__(self, width: int, epsilon: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        exact = x.float()
        exact = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.epsilon)
        return self.weight * exact.to(x.dtype)


class Block(nn.Module):
    """Causal attention and a gated feed-forward, each around a residual."""

    def __init__(self, llama: Llama, window: int) -> None:
        super().__init__()
        self.llama, self.window = llama, window
        dtype = getattr(torch, llama.dtype)
        linear = partial(nn.Linear, dtype=dtype)
        norm = partial(Norm, epsilon=llama.epsilon, dtype=dtype)
        queries, keys = (n * llama.head_width for n in (llama.heads, llama.kv_heads))
        self.attention_norm = norm(llama.width)
        self.query = linear(llama.width, queries, bias=llama.query_biases)
        self.key = linear(llama.width, keys, bias=llama.query_biases)
        self.value = linear(llama.width, keys, bias=llama.query_biases)
        self.query_norm = norm(llama.head_width) if llama.head_norms else nn.Identity()
        self.key_norm = norm(llama.head_width) if llama.head_norms else nn.Identity()
        self.out = linear(queries, llama.width, bias=llama.out_bias)
        self.feed_norm = norm(llama.width)
        self.gate = linear(llama.width, llama.inner, bias=llama.feed_biases)
        self.up = linear(llama.width, llama.inner, bias=llama.feed_biases)
        self.down = linear(llama.inner, llama.width, bias=llama.feed_biases)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attended(self.attention_norm(x))
        fed = self.feed_norm(x)
        result: Tensor = x + self.down(functional.silu(self.gate(fed)) * self.up(fed))
        return result

    def _attended(self, x: Tensor) -> Tensor:
        shape = *x.shape[:2], -1, self.llama.head_width
        query, key, value = (each(x).view(shape) for each in (self.query, self.key, self.value))
        cos, sin = rotations(self.llama, x)
        query = rotated(self.query_norm(query).transpose(1, 2), cos, sin)
        key = rotated(self.key_norm(key).transpose(1, 2), cos, sin)
        mask = None
        if 0 < self.window < x.shape[1]:
            seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
            mask = seen.tril().triu(1 - self.window)
        mixed = functional.scaled_dot_product_attention(
            query, key, value.transpose(1, 2), mask, is_causal=mask is None, enable_gqa=True
        )
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result

    def extra_repr(self) -> str:
        return f"window={self.window}"  # by their text `streamed_model` knows blocks that are alike


def rotations(llama: Llama, x: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of every position and pair, each `(length, head_width)`: the
    pairs of a head are dimension i and i + head_width / 2. Computed anew in every layer, which is
    little beside its products, so that nothing but `x` goes from one part to the next."""
    half = torch.arange(0, llama.head_width, 2, dtype=torch.float32, device=x.device)
    frequencies = 1.0 / llama.rope.theta ** (half / llama.head_width)
    if llama.rope.blend is None:
        frequencies = frequencies / llama.rope.factor
    else:
        low, high, length = llama.rope.blend
        kept = ((length * frequencies / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
        frequencies = (1 - kept) * frequencies / llama.rope.factor + kept * frequencies
    positions = torch.arange(x.shape[1], dtype=torch.float32, device=x.device)
    angles = torch.outer(positions, frequencies).repeat(1, 2)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x`, shape `(batch, heads, length, head_width)`, every pair turned by its angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], -1) * sin
