"""Bytes of activations that a device holds, per layer and microbatch.

Activations of a GPT layer in 16 bits: sbh(34 + 5as/h); with tensor parallel size t
sbh(10 + 24/t + 5as/(ht)), and sbh/t (34 + 5as/h) with sequence parallelism (Korthikanti et al.
2022, arXiv 2205.05198, equations 1, 2 and 4). What W still needs after B is 32 sbh (Qi et al.
2023, arXiv 2401.10241, Table 1): inputs of the linear layers, 14, and the gradients of their
outputs, 18.
"""

from __future__ import annotations

from typing import NamedTuple

from ..models import (
    Model,
    mixing,
)
from ..models.shape import DENSE, Layer
from .adapters import adapters
from .configuration import Configuration
from .flops import matmuls
from .precision import SIZES


class Kept(NamedTuple):
    """Bytes of one microbatch: kept from F on, kept from the end of B on (for W), and needed in
    between by the pass itself (a layer that is computed again)."""

    after_forward: float
    after_backward: float
    scratch: float = 0.0


def full_activation(model: Model, configuration: Configuration, kind: Layer = DENSE) -> float:
    """Bytes that the backward of one layer needs of its forward, nothing computed again. Inputs of
    multiplications by weights are kept as they were multiplied, in 16 bits or fewer."""
    c = configuration
    h, t = model.hidden, c.tensor
    found = mixing(model, kind)
    masks = h if model.dropout else 0
    low = SIZES[c.precision]
    normed = 1 if model.beside(kind) else kind.blocks  # inputs of norms, and of what comes behind
    whole = 2 * h * normed + low * h * model.norms(kind) + masks * kind.blocks + 2 * found.whole
    inputs = sum(each.wide for each in found.products if each.split == "wide")
    cut = 2 * found.kept - (2 - low) * inputs
    shares, inner = _feed_forward(model, kind, c)
    whole += low * (_inputs(model, kind, c) - (h if shares else 0))  # one counts behind a norm
    cut += inner * (2 * (2 if model.gated else 1) + low) * shares
    pairs = 2 * _ranks(model, c, kind)
    return c.tokens * (pairs + whole / c.token_cut + cut / t) + _scores(model, c, kind)


def activation(model: Model, configuration: Configuration, kind: Layer = DENSE) -> Kept:
    """Bytes one layer keeps for one microbatch after F and after B.

    >>> gpt = Model("gpt", 1, 64, 4, 100, gated=False, dropout=True)
    >>> plain = Configuration(32, 2, microbatch=2, attention="plain")
    >>> activation(gpt, plain) == (32*2*(34*64 + 5*4*32), 32*32*2*64, 0)
    True
    """
    c = configuration
    full = full_activation(model, c, kind)
    pending = _pending(model, c, kind)
    if c.recompute == "full":
        cut = c.token_cut
        return Kept(2.0 * c.tokens * model.hidden / cut, pending, full)
    if c.recompute == "experts" and kind.feed_forward == "experts":
        again = full_activation(model, c, kind.block)
        return Kept(full - again + 2.0 * c.tokens * model.hidden / c.token_cut, pending, again)
    if c.recompute == "elementwise":
        again = _made_by_elements(model, c, kind)
        return Kept(full - again, pending, again)
    if c.recompute == "selective":
        return Kept(full - _scores(model, c, kind), pending, _scores(model, c, kind))
    return Kept(full, pending)


def embedding_activation(model: Model, configuration: Configuration) -> Kept:
    """Token numbers and, with dropout, a mask; nothing where it is not trained."""
    c = configuration
    if c.lora:
        return Kept(0.0, 0.0)
    cut = c.token_cut
    mask = c.tokens * model.hidden / cut if model.dropout else 0.0
    return Kept(8.0 * c.tokens + mask, 8.0 * c.tokens)


def head_activation(model: Model, configuration: Configuration) -> Kept:
    """Input of the last norm and of the projection, and 32-bit logits until B; for W the
    projection's input and 16-bit gradients of the logits."""
    c = configuration
    cut = c.token_cut
    logits = c.tokens * model.vocabulary / c.tensor
    wide = c.tokens * model.hidden / cut
    if c.lora:  # nothing waits for W, and nobody needs the projection's input
        return Kept(2.0 * wide + 4.0 * logits, 0.0)
    return Kept(4.0 * wide + 4.0 * logits, 2.0 * wide + 2.0 * logits)


def boundary_bytes(model: Model, configuration: Configuration) -> float:
    """Bytes of one microbatch that one device sends to the next stage."""
    c = configuration
    return 2.0 * c.tokens * model.hidden / c.token_cut


def prediction_activation(model: Model, configuration: Configuration) -> Kept:
    """One layer that predicts a further token: inputs of two norms (2 x 2h) and of the projection
    (4h), a layer's, and a second head's; for W the projection's input and output gradient."""
    c = configuration
    layer = activation(model, c, model.kind(model.layers - 1))
    head = head_activation(model, c)
    wide = c.tokens * model.hidden / c.token_cut
    return Kept(
        layer.after_forward + head.after_forward + 8 * wide,
        layer.after_backward + head.after_backward + 6 * wide,
        layer.scratch,
    )


def _made_by_elements(model: Model, c: Configuration, kind: Layer) -> float:
    """Outputs of norms and of activation functions."""
    shares, inner = _feed_forward(model, kind, c)
    low = SIZES[c.precision]
    made = model.norms(kind) * model.hidden / c.token_cut + shares * inner / c.tensor
    return low * c.tokens * made


def _ranks(model: Model, c: Configuration, kind: Layer) -> int:
    """Numbers per token between the adapters of a layer."""
    if not c.lora:
        return 0
    return sum(each.out for each in adapters(matmuls(model, 1, kind), c)[::2])


def _feed_forward(model: Model, kind: Layer, c: Configuration) -> tuple[float, int]:
    """How many blocks a token passes, and how wide each is inside."""
    if kind.feed_forward == "experts" and model.experts:
        return model.experts.per_token * c.taken + model.experts.shared, model.experts.ffn
    return (0, 0) if kind.feed_forward == "none" else (1, model.ffn)


def _inputs(model: Model, kind: Layer, c: Configuration) -> float:
    """How wide the inputs of all blocks that a token passes are together, as wide as their outputs;
    latent experts have two projections more, from and to the width of the latent."""
    if kind.feed_forward == "experts" and (experts := model.experts):
        projections = model.hidden + experts.latent if experts.latent else 0
        routed = experts.per_token * c.taken * model.expert_width
        return routed + experts.shared * model.hidden + projections
    return 0 if kind.feed_forward == "none" else model.hidden


def _scores(model: Model, c: Configuration, kind: Layer) -> float:
    """Plain attention keeps scores (2), their softmax (2) and a mask (1) for each key that a token
    sees, flash attention one 32-bit number per token and head."""
    heads = mixing(model, kind).heads
    if c.attention == "flash":
        return 4.0 * heads * c.tokens / c.tensor
    each = 5 if model.dropout else 4
    return float(each) * heads * kind.span(c.sequence) * c.tokens / c.tensor


def _pending(model: Model, c: Configuration, kind: Layer) -> float:
    h, t = model.hidden, c.tensor
    shares, inner = _feed_forward(model, kind, c)
    up = 2 if model.gated else 1
    found, low = mixing(model, kind), SIZES[c.precision]
    mixed = (kind.blocks - (shares > 0)) * h
    whole = low * 2 * (mixed + _inputs(model, kind, c)) + 2 * found.whole
    if model.beside(kind):  # outputs have one gradient, and inputs behind one norm are one
        whole -= low * h * (3 - model.norms(kind))
    cut = low * (found.pending + shares * (inner + up * inner))
    pairs = 4 * _ranks(model, c, kind)  # what is between them, and its gradient
    return c.tokens * (pairs + whole / c.token_cut + cut / t)
