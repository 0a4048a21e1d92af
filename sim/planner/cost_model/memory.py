"""Bytes that a device holds: activations per layer and microbatch, and what stays throughout.

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
    embedding_parameters,
    head_parameters,
    layer_parameters,
    mixing,
    prediction_parameters,
)
from ..models.shape import DENSE, Layer
from ..models.sizes import attention_parameters, feed_forward_parameters
from .adapters import adapter_parameters, adapters
from .configuration import Configuration
from .flops import Matmul, matmuls
from .muon import SAVED, orthogonal_flops
from .precision import SIZES, weight_copies


class Kept(NamedTuple):
    """Bytes of one microbatch: kept from F on, kept from the end of B on (for W), and needed in
    between by the pass itself (a layer that is computed again)."""

    after_forward: float
    after_backward: float
    scratch: float = 0.0


class Static(NamedTuple):
    """Bytes per device that stay: weights, gradients, optimizer state."""

    weights: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer


class PerParameter(NamedTuple):
    """Bytes per parameter. The default is mixed precision with Adam as in Megatron-LM: 16-bit
    weights, 32-bit gradients, 32-bit master weights and two 32-bit moments: 18 in all."""

    weights: float = 2
    gradients: float = 4
    optimizer: float = 12


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


class Held(NamedTuple):
    """Parameters on one device of a stage that are trained: those every data-parallel copy has, and
    of experts; and those that are not trained, the same two. vectors: how many of the common ones
    are in no weight matrix of a layer. orthogonal: operations of Muon's step. tensors: how many
    weights there are, matrices and vectors."""

    common: float
    experts: float
    frozen: float = 0.0
    frozen_experts: float = 0.0
    vectors: float = 0.0
    orthogonal: float = 0.0
    tensors: float = 0.0

    @property
    def total(self) -> float:
        return self.common + self.experts

    @property
    def still(self) -> Held:
        """All of it, not trained."""
        return Held(0.0, 0.0, self.common + self.frozen, self.experts + self.frozen_experts)


def held_parameters(model: Model, configuration: Configuration, kind: Layer = DENSE) -> Held:
    """Parameters of one layer on one device."""
    c, products = configuration, matmuls(model, 1, kind)
    held = _of_layer(model, c, kind)
    matrices = sum(each.wide * each.out for each in products if each.copies == 1) / c.tensor
    vectors = held.common - matrices
    if c.lora:
        return held.still._replace(
            common=adapter_parameters(products, c),
            orthogonal=orthogonal_flops(adapters(products, c), c),
            tensors=len(adapters(products, c)),
        )
    tensors = (len(products) + model.norms(kind)) * (2 if model.biases else 1)
    return held._replace(vectors=vectors, orthogonal=orthogonal_flops(products, c), tensors=tensors)


def _of_layer(model: Model, c: Configuration, kind: Layer) -> Held:
    common = attention_parameters(model, kind)
    if kind.feed_forward == "experts" and model.experts:
        each = (3 if model.gated else 2) * model.expert_width * model.experts.ffn
        routed = model.experts.count * each
        common += feed_forward_parameters(model, kind) - routed
        return Held(common / c.tensor, routed / c.expert_cut / c.expert)
    return Held((common + feed_forward_parameters(model, kind)) / c.tensor, 0.0)


def edge_parameters(model: Model, configuration: Configuration, *, last: bool) -> float:
    """Parameters of the embedding, or of the head, on one device. The head comes with a copy of the
    embedding, where it needs one (see `copied_parameters`)."""
    c = configuration
    if not last:
        return embedding_parameters(model) / c.tensor
    return head_parameters(model) / c.tensor + copied_parameters(model, c)


def copied_parameters(model: Model, configuration: Configuration) -> float:
    """What the last stage of a pipeline holds of the embedding, on one device: all of its words,
    if the head is tied to it or if further tokens are predicted from the embedding of the next one.
    Only where first and last stage share a device, on a V, is there no copy (see `stages_of`)."""
    c = configuration
    needed = (model.tied or model.mtp_layers > 0) and c.pipeline > 1
    return model.vocabulary * model.hidden / c.tensor if needed else 0.0


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


def held_by_prediction(model: Model, configuration: Configuration) -> Held:
    """Parameters of such a layer on one device."""
    kind = model.kind(model.layers - 1)
    layer = held_parameters(model, configuration, kind)
    more = prediction_parameters(model) - layer_parameters(model, kind)
    joined = Matmul(1, 2 * model.hidden, model.hidden, "out")
    norms = more - joined.wide * joined.out
    return layer._replace(
        common=layer.common + more / configuration.tensor,
        vectors=layer.vectors + norms / configuration.tensor,
        orthogonal=layer.orthogonal + orthogonal_flops((joined,), configuration),
    )


def static(
    held: Held,
    configuration: Configuration,
    per: PerParameter = PerParameter(),  # noqa: B008
) -> Static:
    """Bytes of weights, gradients and optimizer state, shared out as `zero` says."""
    c = configuration
    kinds = (per.weights + weight_copies(c.precision), per.gradients, per.optimizer)
    stages = (3, 2, 1)
    found = []
    for bytes_each, stage in zip(kinds, stages, strict=True):
        shared = c.zero >= stage
        common = held.common / (c.copies if shared else 1)
        experts = held.experts / (c.expert_copies if shared else 1)
        found.append(bytes_each * (common + experts))
        if stage == 3:
            frozen = held.frozen / (c.copies if shared else 1)
            found[0] += per.weights * (
                frozen + held.frozen_experts / (c.expert_copies if shared else 1)
            )
        elif stage == 1 and c.optimizer == "muon":
            matrices = (held.common - held.vectors) / (c.copies if shared else 1) + experts
            found[-1] -= min(SAVED, bytes_each) * matrices
    return Static(*found)


def transient_bytes(held: Held, configuration: Configuration) -> float:
    """What sharing out gradients and weights needs while a layer works: its whole 16-bit gradient
    (ZeRO 2), and whole 16-bit weights of it and of the one that is being fetched (ZeRO 3)."""
    c = configuration
    if c.copies == 1:
        return 0.0
    still = held.frozen + held.frozen_experts
    return (0, 0, 2, 6)[c.zero] * held.total + (0, 0, 0, 4)[c.zero] * still


def _made_by_elements(model: Model, c: Configuration, kind: Layer) -> float:
    """Outputs of norms and of activation functions."""
    shares, inner = _feed_forward(model, kind, c)
    low = SIZES[c.precision]
    made = model.norms(kind) * model.hidden / c.token_cut + shares * inner / c.tensor
    return low * c.tokens * made


def gradient_copy(parameters: float, per: PerParameter) -> float:
    """Bytes of a weight matrix's gradient in 16 bits, which W makes before it is added up in more
    bits: nothing where gradients are kept as they are made."""
    return 2.0 * parameters if per.gradients > per.weights else 0.0


def largest_matrix(model: Model, configuration: Configuration, kind: Layer = DENSE) -> float:
    """Parameters of the largest weight matrix of a layer on one device that is trained."""
    c, products = configuration, matmuls(model, 1, kind)
    return max(
        (
            each.wide * each.out
            / (c.expert_cut if each.copies > 1 else c.tensor if each.split else 1)
            for each in (adapters(products, c) if c.lora else products)
        ),
        default=0.0,
    )  # fmt: skip


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
