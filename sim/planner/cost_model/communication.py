"""Seconds that devices of one layer, of two stages, or of data parallelism exchange data."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..hardware import Machine, wire_between
from ..models import Model
from .collectives import all_gather, all_reduce
from .configuration import Configuration
from .efficiency import Efficiency
from .flops import Passes
from .groups import data_group, expert_copies_group, tensor_group
from .memory import boundary_bytes
from .parameters import Held
from .precision import SIZES

BUCKET = 40e6
"""Parameters of one message of data parallelism: Megatron-LM's `--ddp-bucket-size`, which grows to
a million per device of a large group."""


def send_seconds(
    model: Model, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, source: int, destination: int,
) -> float:  # fmt: skip
    """Time from a stage's device to the next one's, both counted in pipeline positions.

    Devices of a tensor-parallel group that all hold the same boundary send a piece each and gather
    it inside the group (Narayanan et al. 2021, arXiv 2104.04473, section 4.1).
    """
    c = configuration
    if source == destination:
        return 0.0
    wire = wire_between(machine, source * c.per_stage, destination * c.per_stage)
    whole = boundary_bytes(model, c)
    piece = whole if c.sequence_parallel else whole / c.tensor
    gather = 0.0
    if c.tensor > 1 and not c.sequence_parallel:
        gather = all_gather(whole, tensor_group(c), machine=machine, efficiency=efficiency)
    return wire.latency + piece / (wire.bandwidth * efficiency.wire) + gather


class Exchanged(NamedTuple):
    """Seconds of one layer's collectives of tensor parallelism in F, and as many in B: there those
    that sum gradients of inputs, and those that nothing can hide."""

    summed: float
    alone: float

    @property
    def total(self) -> float:
        return self.summed + self.alone


def layer_communication(
    model: Model, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, experts: bool = False, blocks: int = 2,
) -> Passes:  # fmt: skip
    """Seconds of all collectives of tensor parallelism inside one layer: see `exchanged`."""
    once = exchanged(
        model, configuration, machine, efficiency=efficiency, experts=experts, blocks=blocks
    ).total
    return Passes(once, once, 0.0)


def exchanged(
    model: Model, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, experts: bool = False, blocks: int = 2,
) -> Exchanged:  # fmt: skip
    """Collectives of tensor parallelism inside one layer.

    One all-reduce after attention and one after the feed-forward block, in F and in B (`blocks`:
    how many of them the layer has; those beside each other count as one). With sequence parallelism
    the same bytes as all-gather and reduce-scatter, and one more all-gather of each block's input
    for the weight gradient, hidden under it; gathered inputs that will be multiplied in fewer bits
    are cast before. Experts that are cut gather their tokens, as often as each is sent to one, in
    16 bits after these have come from other devices, and scatter their sums before they go back.
    Whole experts on each device (`expert_tensor` 1) need none.
    """
    c, group = configuration, tensor_group(configuration)
    size = 2.0 * c.tokens * model.hidden
    apart = experts and model.experts and not model.parallel
    blocks -= bool(apart and (c.sequence_parallel or c.expert_cut < c.tensor))
    if not c.sequence_parallel:
        once = all_reduce(size, group, machine=machine, efficiency=efficiency)
        return Exchanged(blocks * once, 0.0)
    gathered, summed = (
        blocks * all_gather(each, group, machine=machine, efficiency=efficiency)
        for each in (size * SIZES[c.precision] / 2, size)
    )
    if apart and model.experts and c.expert_cut == c.tensor:
        routed = 2.0 * c.tokens * model.experts.per_token * c.taken * model.expert_width
        gathered += 2 * all_gather(routed, group, machine=machine, efficiency=efficiency)
    return Exchanged(summed, gathered)


def reduce_seconds(
    held: Held, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, gradient_bytes: float = 2, beside: tuple[float, float] = (0.0, 0.0),
) -> float:  # fmt: skip
    """Sum of the gradients over data parallelism at the end of an iteration; with shared-out
    optimizer state a reduce-scatter, and a gather of 16-bit weights. From ZeRO stage 2 on every
    pass reduces its gradients (see `sharding_seconds`), so that only the gather is left; stage 3
    gathers in every pass too.

    gradient_bytes: of each gradient, as the mean of both directions: 2 means 16 bits there and
    back, 3 means gradients of 32 bits and weights of 16. beside: seconds of the last backward and
    of the first forward of one microbatch on this device. With `data_overlap` reducing runs beside
    the former and gathering beside the latter, but for one message; not the latter where the
    program gathers late.
    """
    c = configuration
    reduced = 0.0 if c.zero >= 2 else 2 * gradient_bytes - 2
    gathered = 0.0 if c.zero == 3 else 2.0
    if c.zero == 0:
        reduced, gathered = 2 * gradient_bytes, 0.0
    found = 0.0
    first = 0.0 if c.habits.gathers_late else beside[1]
    for size, work in ((reduced, beside[0]), (gathered, first)):
        whole, one = _over_copies(size, held, c, machine, efficiency)
        found += max(whole - work, one) if c.data_overlap else whole
    return found


def sharding_seconds(
    held: Held, configuration: Configuration, machine: Machine, *, efficiency: Efficiency
) -> Passes:
    """What ZeRO adds to every microbatch: from stage 2 on a reduce-scatter of the 16-bit gradients
    that W has made, since no device keeps them whole, and in stage 3 a gather of the 16-bit weights
    before F and before B."""
    if configuration.zero < 2:
        return Passes(0.0, 0.0, 0.0)
    once = _over_copies(2, held, configuration, machine, efficiency)[0]
    if configuration.zero < 3:
        return Passes(0.0, 0.0, once)
    whole = Held(held.common + held.frozen, held.experts + held.frozen_experts)
    gather = _over_copies(2, whole, configuration, machine, efficiency)[0]
    return Passes(gather, gather, once)


def _over_copies(
    size: float, held: Held, c: Configuration, machine: Machine, efficiency: Efficiency
) -> tuple[float, float]:
    """A gather of so many bytes per parameter over data parallelism, of experts over their copies;
    and the part of it that its last message is."""
    whole = last = 0.0
    for parameters, group in (
        (held.common, data_group(c)), (held.experts, expert_copies_group(c)),
    ):  # fmt: skip
        if not size or not parameters or group.size == 1:
            continue
        buckets = max(math.ceil(parameters / max(BUCKET, 1e6 * group.size)), 1)
        messages = max(buckets, round(held.tensors) if c.habits.by_tensor else 1)
        seconds = all_gather(
            size * parameters, group, machine=machine, efficiency=efficiency, messages=messages
        )
        whole, last = whole + seconds, last + seconds / messages
    return whole, last
