"""Floating-point operations of the forward pass and of both backward passes, apart.

Of a GPT layer with s tokens in a sequence, b sequences and hidden size h: F sbh(24h+4s),
B sbh(24h+8s), W 24 sbh^2 (Qi et al. 2023, arXiv 2401.10241, Table 1). Multiplications of matrices
only, a multiplication and an addition counted as two; masks of causal attention are not subtracted.
"""

from __future__ import annotations

from typing import NamedTuple

from ..models import Model, Tower, mixing
from ..models.shape import DENSE, Layer


class Passes(NamedTuple):
    """One number for each pass: forward, input gradient, weight gradient."""

    forward: float
    backward: float
    weight: float

    @property
    def total(self) -> float:
        return self.forward + self.backward + self.weight


class Matmul(NamedTuple):
    """A multiplication by weights: `rows` tokens, from width `wide` to width `out`.
    split: which of its widths tensor parallelism cuts. copies: how many weights share the rows.
    low: whether it may run in fewer than 16 bits."""

    rows: int
    wide: int
    out: int
    split: str
    copies: int = 1
    low: bool = True

    @property
    def flops(self) -> float:
        return 2.0 * self.rows * self.wide * self.out


def matmuls(
    model: Model, tokens: int, kind: Layer = DENSE, *, taken: float = 1.0
) -> tuple[Matmul, ...]:
    """The multiplications by weights in one layer, as many rows as a microbatch has tokens; taken:
    tokens that routed experts multiply, over those that are sent to them."""
    h = model.hidden
    found = [Matmul(tokens, *each) for each in mixing(model, kind).products]
    if kind.feed_forward == "none":
        return tuple(found)
    up = 2 if model.gated else 1
    if kind.feed_forward == "experts" and model.experts:
        experts = model.experts
        routed = round(tokens * experts.per_token * taken)
        found += [
            Matmul(tokens, h, experts.count, "", low=False),
            Matmul(routed, model.expert_width, up * experts.ffn, "out", experts.count),
            Matmul(routed, experts.ffn, model.expert_width, "wide", experts.count),
        ]
        if experts.latent:
            found += [
                Matmul(tokens, h, experts.latent, ""),
                Matmul(tokens, experts.latent, h, ""),
            ]
        if experts.shared:
            inner = experts.shared * experts.ffn
            found += [Matmul(tokens, h, up * inner, "out"), Matmul(tokens, inner, h, "wide")]
    else:
        found += [Matmul(tokens, h, up * model.ffn, "out"), Matmul(tokens, model.ffn, h, "wide")]
    return tuple(found)


def attention_flops(model: Model, sequence: int, microbatch: int, *, kind: Layer = DENSE) -> Passes:
    """Queries times keys and scores times values; twice as many backwards; no weights. A query
    meets all keys of its sequence, or as many as its window holds; an index meets all of them."""
    tokens, found = float(microbatch) * sequence, mixing(model, kind)
    forward = 2.0 * tokens * (kind.span(sequence) * found.pair + sequence * found.indexed)
    return Passes(forward, 2 * forward, 0.0)


def recurrence_flops(model: Model, tokens: float, kind: Layer = DENSE) -> Passes:
    """What a recurrence over the sequence computes, as often per token however long it is (see
    `models.mixing`); twice as much backwards; no weights that W computes."""
    forward = tokens * mixing(model, kind).token
    return Passes(forward, 2 * forward, 0.0)


def layer_flops(model: Model, sequence: int, microbatch: int = 1, *, kind: Layer = DENSE) -> Passes:
    """One layer and one microbatch.

    >>> gpt = Model("gpt", 1, 64, 4, 100, gated=False)
    >>> layer_flops(gpt, 32, 2) == (32*2*64*(24*64 + 4*32), 32*2*64*(24*64 + 8*32), 24*32*2*64**2)
    True
    """
    weights = sum(each.flops for each in matmuls(model, sequence * microbatch, kind))
    attention = attention_flops(model, sequence, microbatch, kind=kind)
    states = recurrence_flops(model, float(sequence) * microbatch, kind)
    return Passes(
        weights + attention.forward + states.forward,
        weights + attention.backward + states.backward,
        weights,
    )


def head_flops(model: Model, sequence: int, microbatch: int = 1) -> Passes:
    """The projection to the vocabulary."""
    once = 2.0 * sequence * microbatch * model.hidden * model.vocabulary
    return Passes(once, once, once)


def prediction_flops(model: Model, sequence: int, microbatch: int = 1) -> Passes:
    """One layer that predicts a further token: a layer like the last one, the projection from 2h
    to h before it, and the head a second time."""
    kind = model.kind(model.layers - 1)
    once = 4.0 * sequence * microbatch * model.hidden**2
    found = (
        layer_flops(model, sequence, microbatch, kind=kind),
        head_flops(model, sequence, microbatch),
        Passes(once, once, once),
    )
    return Passes(*(sum(column) for column in zip(*found, strict=True)))


def tower_flops(tower: Tower, pictures: float) -> Passes:
    """So many pictures, each of which attends to itself alone."""
    found = [
        Passes(*(n * each for each in layer_flops(tower.encoder, tower.patches, kind=kind)))
        for kind, n in tower.encoder.kinds().items()
    ]
    for wide, out, patches in tower.projections:
        once = 2.0 * tower.patches / patches * wide * out
        found.append(Passes(once, once, once))
    return Passes(*(pictures * sum(column) for column in zip(*found, strict=True)))


def model_flops(model: Model, sequence: int, batch: int = 1) -> float:
    """What one iteration must compute at least: all passes of all layers and the head, nothing
    twice. MFU (model FLOPs utilization) is this over time, devices and peak."""
    found = batch * head_flops(model, sequence).total
    if model.mtp_layers:
        found += model.mtp_layers * batch * prediction_flops(model, sequence).total
    if model.tower:
        found += tower_flops(model.tower, batch * model.tower.images).total
    for kind, n_layers in model.kinds().items():
        found += n_layers * batch * layer_flops(model, sequence, kind=kind).total
    return found
