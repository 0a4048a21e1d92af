"""Seconds of F, B and W of one layer, of the embedding and of the head, on one device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..hardware import Device, Machine
from ..models import Model, mixing
from ..models.shape import DENSE, Layer
from .communication import all_reduce, layer_communication
from .configuration import Configuration, tensor_group
from .efficiency import Efficiency
from .flops import Matmul, Passes, attention_flops, matmuls, recurrence_flops

MISALIGNED = 8
"""Tensor cores want 16-bit widths that are multiples of eight elements."""


class Work(NamedTuple):
    """What a pass asks of a device: seconds at full kernels, and how many kernels."""

    seconds: float = 0.0
    kernels: float = 0.0

    def __add__(self, other: object) -> Work:
        if not isinstance(other, Work):
            return NotImplemented
        return Work(self.seconds + other.seconds, self.kernels + other.kernels)


@dataclass(frozen=True)
class Bench:
    """A model on a machine, cut in one way: what every estimate of seconds needs."""

    model: Model
    configuration: Configuration
    machine: Machine
    efficiency: Efficiency

    @property
    def device(self) -> Device:
        return self.machine.device


def layer_seconds(bench: Bench, kind: Layer = DENSE) -> Passes:
    """F, B and W of one layer and one microbatch, with what is computed again (in B) and the
    collectives it waits for."""
    c = bench.configuration
    forward, backward, weight = _layer_work(bench, kind)
    there = layer_communication(
        bench.model,
        c,
        bench.machine,
        efficiency=bench.efficiency,
        experts=kind.feed_forward == "experts",
        blocks=kind.blocks,
    )
    again, again_there = Work(), 0.0
    if c.recompute == "full":
        again, again_there = forward, there.forward
    elif c.recompute == "selective":
        again = _attention_work(bench, kind)[0]
    return Passes(
        _elapsed(forward, bench) + there.forward,
        _elapsed(backward + again, bench) + there.backward + again_there,
        _elapsed(weight, bench) + there.weight,
    )


def fused_saving(bench: Bench, kind: Layer = DENSE) -> float:
    """Seconds by which a fused backward is shorter than B and W of one layer apart: collectives of
    B run while the weight gradients are computed."""
    there = layer_communication(
        bench.model, bench.configuration, bench.machine, efficiency=bench.efficiency,
        blocks=kind.blocks,
    )  # fmt: skip
    weight = _elapsed(_layer_work(bench, kind)[2], bench)
    return bench.efficiency.overlap * min(there.backward, weight)


def embedding_seconds(bench: Bench) -> Passes:
    """Looking words up (F) and adding their gradients up (W)."""
    c, h = bench.configuration, bench.model.hidden
    each = c.tokens * h
    there = all_reduce(
        2.0 * each, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    masks = 5 * each if bench.model.dropout else 0
    return Passes(
        _elapsed(_moved(bench, 4 * each + masks, 3), bench) + there,
        0.0,
        _elapsed(_moved(bench, 8 * each + masks, 3), bench),
    )


def head_seconds(bench: Bench) -> Passes:
    """Last norm, projection to the vocabulary, and the loss in 32 bits over all logits."""
    c, model = bench.configuration, bench.model
    logits = c.tokens * model.vocabulary / c.tensor
    wide = c.tokens * model.hidden
    out = Matmul(c.tokens, model.hidden, model.vocabulary, "out")
    once = _product(bench, (out,))
    there = all_reduce(
        2.0 * wide, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    return Passes(
        _elapsed(once + _moved(bench, 4 * wide + 28 * logits, 8), bench),
        _elapsed(once + _moved(bench, 10 * wide + 16 * logits, 6), bench) + there,
        _elapsed(once, bench),
    )


def prediction_seconds(bench: Bench) -> Passes:
    """One layer that predicts a further token: two norms, the projection of both (2h to h), a layer
    like the last one, and the head once more. The projection's output is gathered in F, and its
    input's gradient summed in B."""
    c, model = bench.configuration, bench.model
    wide = c.tokens * model.hidden
    once = _product(bench, (Matmul(c.tokens, 2 * model.hidden, model.hidden, "out"),))
    there = all_reduce(
        2.0 * wide, tensor_group(c), machine=bench.machine, efficiency=bench.efficiency
    )
    norms = _moved(bench, 2 * 4 * wide, 3)
    found = (
        layer_seconds(bench, model.kind(model.layers - 1)),
        head_seconds(bench),
        Passes(
            _elapsed(once + norms, bench) + there,
            _elapsed(once + norms + norms, bench) + 2 * there,
            _elapsed(once, bench),
        ),
    )
    return Passes(*(sum(column) for column in zip(*found, strict=True)))


def product_seconds(bench: Bench, products: Iterable[Matmul]) -> float:
    """Multiplications by weights, one after the other."""
    return _elapsed(_product(bench, products), bench)


def optimizer_seconds(bench: Bench, parameters: float) -> float:
    """Adam in mixed precision over the parameters a device updates, all of it memory traffic: per
    parameter the gradient for its norm (2) and for the step (4), master weight and two moments
    read and written (24), and the 16-bit weight (2): 32 bytes."""
    share = bench.configuration.data if bench.configuration.zero >= 1 else 1
    return 32.0 * parameters / share / (bench.device.bandwidth * bench.efficiency.memory)


def _layer_work(bench: Bench, kind: Layer) -> tuple[Work, Work, Work]:
    c, model = bench.configuration, bench.model
    once = _product(bench, matmuls(model, c.tokens, kind))
    forward, backward = _attention_work(bench, kind)
    n = c.tokens
    whole = n * model.hidden / (c.tensor if c.sequence_parallel else 1)
    inner = n * _inner_width(model, kind) / c.tensor
    heads = n * mixing(model, kind).moved / c.tensor
    blocks = kind.blocks / 2  # of two a layer has the whole of what is counted here
    whole = whole * blocks
    gate = 2 if model.gated else 1
    drop = (2, 3) if model.dropout else (0, 0)
    moved = (
        whole * (2 * 4 + 2 * (6 + drop[0])) + inner * (2 * gate + 2) + 4 * heads,
        whole * (2 * 10 + 2 * (6 + drop[1])) + inner * (4 * gate + 2) + 4 * heads,
    )
    forward = once + forward + _moved(bench, moved[0], 9 * blocks)
    backward = once + backward + _moved(bench, moved[1], 12 * blocks)
    biases = 2 * (whole * 2 + inner + heads) if model.biases else 0
    return forward, backward, once + _moved(bench, biases, 4 if model.biases else 0)


def _attention_work(bench: Bench, kind: Layer) -> tuple[Work, Work]:
    """Scores in plain attention: F writes them, scales and masks, takes the softmax, drops, reads
    them: 13 bytes per pair of tokens and head; B reads and writes gradients the same way: 17.
    Kernels are taken to leave out what lies outside a window. Recurrences run at the rate of flash
    attention, nothing of them masked."""
    c, model, e = bench.configuration, bench.model, bench.efficiency
    found = mixing(model, kind)
    flops = attention_flops(model, c.sequence, c.microbatch, kind=kind)
    states = recurrence_flops(model, c.tokens, kind)
    rate = bench.device.flops * e.fused_attention * c.tensor
    scan = (
        Work(states.forward / rate, 2 if found.token else 0),
        Work(states.backward / rate, 3 if found.token else 0),
    )
    if not found.pair:
        return scan
    forward, backward = _softmax_work(bench, kind, flops, found.heads)
    return forward + scan[0], backward + scan[1]


def _softmax_work(bench: Bench, kind: Layer, flops: Passes, heads: int) -> tuple[Work, Work]:
    c, model, e = bench.configuration, bench.model, bench.efficiency
    if c.attention == "flash":
        # The backward kernel multiplies queries and keys once more: 5 products against 2.
        rate = bench.device.flops * e.fused_attention
        return (
            Work(flops.forward / 2 / c.tensor / rate, 1),
            Work(2.5 * flops.forward / 2 / c.tensor / rate, 2),
        )
    rate = bench.device.flops * e.matmul
    pairs = float(c.tokens) * kind.span(c.sequence) * heads / c.tensor
    drop = (4, 5) if model.dropout else (0, 0)
    return (
        Work(flops.forward / c.tensor / rate, 2) + _moved(bench, (9 + drop[0]) * pairs, 2),
        Work(flops.backward / c.tensor / rate, 4) + _moved(bench, (12 + drop[1]) * pairs, 2),
    )


def _product(bench: Bench, products: Iterable[Matmul]) -> Work:
    """Multiplications by weights: arithmetic or memory, whichever is slower."""
    c, device, e = bench.configuration, bench.device, bench.efficiency
    seconds, kernels = 0.0, 0
    for each in products:
        cut = c.tensor if each.split else 1
        copies = max(each.copies // c.expert, 1)
        out = each.out / (cut if each.split == "out" else 1)
        wide = each.wide / (cut if each.split == "wide" else 1)
        aligned = out % MISALIGNED == 0 and wide % MISALIGNED == 0
        padded = each.split == "out" and c.tensor > 1
        rate = device.flops * e.matmul * (1 if aligned or padded else e.misaligned)
        moved = 2.0 * (each.rows * (wide + out) + wide * out * copies)
        seconds += max(each.flops / cut / rate, moved / (device.bandwidth * e.memory))
        kernels += 1
    return Work(seconds, kernels)


def _moved(bench: Bench, size: float, kernels: float) -> Work:
    return Work(size / (bench.device.bandwidth * bench.efficiency.memory), kernels)


def _elapsed(work: Work, bench: Bench) -> float:
    e = bench.efficiency
    return max(work.kernels * e.launch, work.seconds + work.kernels * e.ramp)


def _inner_width(model: Model, kind: Layer) -> int:
    if kind.feed_forward == "experts" and model.experts:
        return (model.experts.per_token + model.experts.shared) * model.experts.ffn
    return 0 if kind.feed_forward == "none" else model.ffn
