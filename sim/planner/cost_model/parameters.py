"""Parameters that a device holds, and the bytes of weights, gradients and optimizer state."""

from __future__ import annotations

from typing import NamedTuple

from ..models import (
    Model,
    embedding_parameters,
    head_parameters,
    layer_parameters,
    prediction_parameters,
)
from ..models.shape import DENSE, Layer
from ..models.sizes import attention_parameters, feed_forward_parameters
from .adapters import adapter_parameters, adapters
from .configuration import Configuration
from .flops import Matmul, matmuls
from .muon import SAVED, orthogonal_flops
from .precision import weight_copies


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
