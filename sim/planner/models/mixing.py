"""What a block that mixes tokens multiplies, keeps and holds: one statement per kind, from which
parameters, FLOPs, seconds and bytes follow.

FLOPs of recurrences, per token and forward: Mamba-2 seven per number of its state, as Megatron-LM
counts a scan (decay 2, input 2, sum 1, output 2); a gated delta rule eight (four products with the
state: k k', v k', the correction, the output), and its convolution two per weight, as Megatron-LM
counts too; lightning attention four (k v' and the output).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .mixers import (
    Attention,
    Both,
    Convolution,
    DeltaNet,
    LatentAttention,
    Lightning,
    Mixer,
    Nothing,
    SelectiveState,
    StateSpace,
)
from .shape import Layer, Model

CHUNK = 64
"""Tokens of a chunk in the kernels of the gated delta rule (flash-linear-attention), which keep one
matrix per chunk and head."""
SCAN = 128
"""Tokens of a chunk in the kernels of Mamba-2, as Megatron-LM sets it."""


class Product(NamedTuple):
    """Weights that multiply each token, from width `wide` to `out`; split: the width that tensor
    parallelism cuts, if any."""

    wide: int
    out: int
    split: str = ""


class Mixing(NamedTuple):
    """A mixing block in numbers.

    products: its multiplications by weights. other: weights beside them, without the block's norm.
    pair: multiplications for each pair of a query and a key that it sees. indexed: for each pair of
    tokens, seen or not. token: FLOPs per token that no weights do, forward. heads: of softmax.
    kept, pending: numbers per token that its backward, and W alone, need of what tensor parallelism
    cuts. whole: the same of what it does not cut, besides input and output. moved: how wide what
    elementwise kernels pass over is. key_values: width of keys and values together. states: numbers
    per token of what a recurrence in chunks hands from kernel to kernel, through memory.
    """

    products: tuple[Product, ...] = ()
    other: int = 0
    pair: int = 0
    indexed: int = 0
    token: int = 0
    heads: int = 0
    kept: int = 0
    pending: int = 0
    whole: int = 0
    moved: int = 0
    key_values: int = 0
    states: int = 0


@lru_cache(maxsize=256)
def mixing(model: Model, kind: Layer) -> Mixing:
    """The block of one kind of layer; asked for many times in a plan, and kept."""
    h = model.hidden
    match kind.mixer:
        case None if model.latent:
            return _latent(model, model.latent)
        case None:
            own = Attention(model.heads, model.kv_heads, model.head_width)
            found = _attention(h, own)
            biases = model.query_width + model.key_value_width + h if model.biases else 0
            return found._replace(other=biases)
        case Attention() as some:
            return _attention(h, some)
        case DeltaNet() as some:
            return _delta(h, some)
        case StateSpace() as some:
            return _state_space(h, some)
        case SelectiveState() as some:
            return _selective(h, some)
        case Lightning() as some:
            return _lightning(h, some)
        case Convolution(length):
            products = (Product(h, 3 * h, "out"), Product(h, h, "wide"))
            return Mixing(products, other=length * h, token=(2 * length + 2) * h, kept=5 * h,
                          pending=4 * h, moved=4 * h)  # fmt: skip
        case Both(attention, states):
            return _sum(_attention(h, attention), _state_space(h, states))
        case Nothing():
            return Mixing()


def heads_of(mixer: Mixer) -> tuple[tuple[str, int], ...]:
    """What of it tensor parallelism shares out, and how many there are."""
    match mixer:
        case Attention():
            return (("heads", mixer.heads), ("key-value heads", mixer.kv_heads))
        case DeltaNet():
            return (("key heads", mixer.key_heads), ("value heads", mixer.value_heads))
        case StateSpace():
            return (("Mamba heads", mixer.heads), ("Mamba groups", mixer.groups))
        case Lightning():
            return (("heads", mixer.heads),)
        case Both():
            return heads_of(mixer.attention) + heads_of(mixer.states)
        case SelectiveState() | Convolution() | Nothing():
            return ()


def _attention(h: int, a: Attention) -> Mixing:
    query, keys = a.heads * a.head_width, a.kv_heads * a.head_width
    made = query * (2 if a.gated else 1) + keys * (1 if a.one_key_value else 2)
    gate = query if a.gated else 0
    return Mixing(
        (Product(h, made, "out"), Product(query, h, "wide")),
        other=a.other,
        pair=2 * query,
        heads=a.heads,
        kept=query + 2 * keys + query + 2 * gate,  # the output before and after its gate
        pending=made + query,
        moved=query + 2 * keys + gate,
        key_values=2 * keys,
    )


def _sum(one: Mixing, other: Mixing) -> Mixing:
    sums = {name: getattr(one, name) + getattr(other, name) for name in Mixing._fields[1:]}
    return Mixing(one.products + other.products, **sums)


def _latent(model: Model, a: LatentAttention) -> Mixing:
    h, heads = model.hidden, model.heads
    down = a.query_rank + a.key_value_rank + a.rotary_width
    index = a.index_heads * a.index_width
    products = [
        Product(h, down),
        Product(a.query_rank or h, model.query_width, "out"),
        Product(a.key_value_rank, heads * (a.plain_width + a.value_width), "out"),
        Product(model.value_width, h, "wide"),
    ]
    if index:
        products += [Product(a.query_rank or h, index), Product(h, a.index_width + a.index_heads)]
    kept = model.query_width + model.key_value_width + model.value_width
    return Mixing(
        tuple(products),
        other=a.query_rank + a.key_value_rank + (2 * a.index_width if index else 0),
        pair=model.query_width + model.value_width,
        indexed=index,
        heads=heads,
        kept=kept,
        pending=kept,
        whole=down + a.query_rank + a.key_value_rank + (index + a.index_width if index else 0),
        moved=model.query_width + model.key_value_width,
        key_values=model.key_value_width,
    )


def _delta(h: int, d: DeltaNet) -> Mixing:
    """Gates as wide as the values; a decay per head, or of a rank one per number of a key."""
    keys, values = d.key_heads * d.key_width, d.value_heads * d.value_width
    mixed = 2 * keys + values  # what the convolution passes over
    decays = keys if d.rank else d.value_heads
    made = mixed + d.value_heads + values + decays  # and step sizes, gates and decays
    products: tuple[Product, ...] = (Product(h, made, "out"),)
    if d.rank:
        products = (
            Product(h, mixed + d.value_heads, "out"),
            Product(h, 2 * d.rank),
            Product(d.rank, decays, "out"),
            Product(d.rank, values, "out"),
        )
    return Mixing(
        (*products, Product(values, h, "wide")),
        other=d.convolution * mixed + d.value_heads + decays + d.value_width,
        token=2 * d.convolution * mixed + 8 * values * d.key_width,
        kept=made + mixed + 2 * values + CHUNK * d.value_heads,
        pending=made + values,
        whole=2 * d.rank,
        moved=made + mixed,
        states=values * d.key_width // CHUNK,
    )


def _state_space(h: int, s: StateSpace) -> Mixing:
    """The kernels keep what the input projection makes and what the scan gives, and compute the
    rest again."""
    inner = s.heads * s.head_width
    mixed = inner + 2 * s.groups * s.state
    made = inner + mixed + s.heads
    return Mixing(
        (Product(h, made, "out"), Product(inner, h, "wide")),
        other=(s.convolution + 1) * mixed + 3 * s.heads + (inner if s.normed else 0),
        token=7 * inner * s.state,
        kept=made + inner,
        pending=made + inner,
        moved=made + mixed,
        states=inner * s.state // SCAN,
    )


def _selective(h: int, s: SelectiveState) -> Mixing:
    made = s.rank + 2 * s.state
    return Mixing(
        (Product(h, 2 * s.inner, "out"), Product(s.inner, made, "wide"),
         Product(s.rank, s.inner, "out"), Product(s.inner, h, "wide")),
        other=(s.convolution + 1) * s.inner + (2 + s.state) * s.inner + made,
        token=7 * s.inner * s.state,
        kept=4 * s.inner,
        pending=5 * s.inner,
        whole=made,
        moved=4 * s.inner,
    )  # fmt: skip


def _lightning(h: int, a: Lightning) -> Mixing:
    inner = a.heads * a.head_width
    return Mixing(
        (Product(h, 4 * inner, "out"), Product(inner, h, "wide")),
        other=inner,
        token=4 * inner * a.head_width,
        kept=6 * inner,
        pending=5 * inner,
        moved=4 * inner,
    )
