"""A GPT-like transformer cut into stages: embedding, blocks, head. The model we measure with.

    tokens (batch, sequence) ─► embedding ─► block ─► ... ─► block ─► norm, head ─► logits

Any list of modules can be run instead: `grouped` makes stages of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .kv_cache import KVCache


@dataclass(frozen=True)
class Model:
    """Sizes of a transformer.

    layers: blocks of each stage, shape `(n_stages,)`; 0 is allowed. The first stage also holds the
        embedding, the last one the final norm and the head.
    width, heads, vocabulary: as usual; `width` must be a multiple of `heads`.
    sequence: the longest sequence, in tokens. dtype: of all weights; a floating point type.
    checkpointed: blocks keep only their input and recompute the rest once, at the start of B.

    ValueError for sizes that no model has.
    """

    layers: tuple[int, ...]
    width: int = 64
    heads: int = 4
    vocabulary: int = 128
    sequence: int = 32
    dtype: torch.dtype = torch.float32
    checkpointed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers or min(self.layers) < 0:
            raise ValueError(f"layers is {self.layers}: give every stage a number of blocks >= 0")
        for name in ("width", "heads", "vocabulary", "sequence"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.width % self.heads:
            raise ValueError(
                f"width is {self.width}: it must be a multiple of the number of heads, {self.heads}"
            )
        if not self.dtype.is_floating_point:
            raise ValueError(f"dtype is {self.dtype}: weights need a floating point type")


def transformer_stages(model: Model, *, seed: int = 0) -> list[nn.Module]:
    """The stages of `model`, with weights drawn from `seed`, and no other random state touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        last = len(model.layers) - 1
        stages: list[nn.Module] = []
        for stage, n_blocks in enumerate(model.layers):
            parts: list[nn.Module] = [Embedding(model)] if stage == 0 else []
            parts += [Block(model) for _ in range(n_blocks)]
            parts += [Head(model)] if stage == last else []
            stages.append(Chain(parts))
    return stages


def even_layers(n_layers: int, n_stages: int) -> tuple[int, ...]:
    """`n_layers` spread over `n_stages`, shape `(n_stages,)`; the middle stages, which have no
    embedding or head to compute, take one more where it does not come out even.

    ValueError for fewer layers than 0 or stages than 1.
    """
    if n_stages < 1 or n_layers < 0:
        raise ValueError(f"cannot spread {n_layers} layers over {n_stages} stages")
    base, rest = divmod(n_layers, n_stages)
    first = (n_stages - rest) // 2
    return tuple(base + (first <= stage < first + rest) for stage in range(n_stages))


def grouped(modules: Sequence[nn.Module], counts: Sequence[int]) -> list[nn.Module]:
    """Stages from any list of modules: the first `counts[0]` of them, the next `counts[1]`, ...

    ValueError if the counts do not add up to the number of modules.
    """
    if sum(counts) != len(modules) or min(counts, default=0) < 0:
        raise ValueError(
            f"counts {tuple(counts)} do not add up to the {len(modules)} modules there are: every "
            "module belongs to exactly one stage"
        )
    stages: list[nn.Module] = []
    first = 0
    for count in counts:
        stages.append(nn.Sequential(*modules[first : first + count]))
        first += count
    return stages


def tokens(
    model: Model, n_rows: int, *, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[Tensor, Tensor]:
    """A batch of random sequences and their next tokens, each of shape `(n_rows, sequence)`."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(model.vocabulary, (n_rows, model.sequence + 1), generator=generator).to(
        device
    )
    return drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous()


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of `logits`, shape (batch, sequence, vocabulary), at `targets`, shape
    (batch, sequence)."""
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


class Chain(nn.Module):
    """Modules one after the other; blocks also get the cache of the microbatch."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        for part in self.parts:
            x = part(x, cache)
        return x


def embedding(n: int, width: int, dtype: torch.dtype) -> nn.Embedding:
    """`n` rows as torch draws them; on the meta device, where drawing them would import torch's
    compiler for three seconds, none are drawn."""
    rows = torch.empty(n, width, dtype=dtype)
    if not rows.is_meta:
        nn.init.normal_(rows)
    found: nn.Embedding = nn.Embedding.from_pretrained(rows, freeze=False)  # type: ignore[no-untyped-call]
    return found


class Embedding(nn.Module):
    """Token and position embedding; positions go on where the earlier slice stopped."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.token = embedding(model.vocabulary, model.width, model.dtype)
        self.position = embedding(model.sequence, model.width, model.dtype)

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        start = cache.start if cache else 0
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        embedded: Tensor = self.token(ids) + self.position(places)
        return embedded


class Head(nn.Module):
    """Final norm and the projection onto the vocabulary."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(model.width, dtype=model.dtype)
        self.out = nn.Linear(model.width, model.vocabulary, bias=False, dtype=model.dtype)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        logits: Tensor = self.out(self.norm(x))
        return logits


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each around a residual; causal."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.heads, self.checkpointed = model.heads, model.checkpointed
        width, dtype = model.width, model.dtype
        self.attention_norm = nn.LayerNorm(width, dtype=dtype)
        self.qkv = nn.Linear(width, 3 * width, dtype=dtype)
        self.out = nn.Linear(width, width, dtype=dtype)
        self.feed_norm = nn.LayerNorm(width, dtype=dtype)
        self.up = nn.Linear(width, 4 * width, dtype=dtype)
        self.down = nn.Linear(4 * width, width, dtype=dtype)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        past = cache.past(self) if cache else ()
        flat = tuple(tensor for pair in past for tensor in pair)
        if self.checkpointed:
            found = checkpoint(
                self._computed, x, *flat, use_reentrant=False, preserve_rng_state=False
            )
        else:
            found = self._computed(x, *flat)
        result: Tensor
        result, keys, values = found
        if cache:
            cache.keep(self, keys, values)
        return result

    def _computed(self, x: Tensor, *past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output, keys and values, as a function of nothing but the arguments."""
        batch, length, width = x.shape
        shape = batch, length, self.heads, width // self.heads
        query, keys, values = (
            part.view(shape).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        )
        all_keys = torch.cat([*past[::2], keys], 2) if past else keys
        all_values = torch.cat([*past[1::2], values], 2) if past else values
        seen = _attention(query, all_keys, all_values)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        x = x + self.down(functional.gelu(self.up(self.feed_norm(x))))
        return x, keys, values


def _attention(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention of the last `query.shape[2]` tokens to all tokens so far."""
    length, total = query.shape[2], keys.shape[2]
    if length == total:
        return functional.scaled_dot_product_attention(query, keys, values, is_causal=True)
    mask = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
