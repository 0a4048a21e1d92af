"""Seconds that devices spend exchanging data: collectives on rings, and sends between stages."""

from __future__ import annotations

import math

from ..hardware import Group, Machine, ring, wire_between
from ..models import Model
from .configuration import Configuration, data_group, expert_group, tensor_group
from .efficiency import Efficiency
from .flops import Passes
from .memory import Held, boundary_bytes


def all_reduce(size: float, group: Group, *, machine: Machine, efficiency: Efficiency) -> float:
    """Every member ends with the sum of `size` bytes: 2 (n-1)/n of them cross each wire."""
    return _on_ring(2 * size, group, machine, efficiency)


def all_gather(size: float, group: Group, *, machine: Machine, efficiency: Efficiency) -> float:
    """Every member ends with all `size` bytes (or, reduce-scatter, with its sum of a piece)."""
    return _on_ring(size, group, machine, efficiency)


def all_to_all(size: float, group: Group, *, machine: Machine, efficiency: Efficiency) -> float:
    """Every member keeps 1/n of its `size` bytes and sends the rest away."""
    return _on_ring(size, group, machine, efficiency)


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
    step = c.tensor * c.data
    wire = wire_between(machine, source * step, destination * step)
    whole = boundary_bytes(model, c)
    piece = whole if c.sequence_parallel else whole / c.tensor
    gather = 0.0
    if c.tensor > 1 and not c.sequence_parallel:
        gather = all_gather(whole, tensor_group(c), machine=machine, efficiency=efficiency)
    return wire.latency + piece / (wire.bandwidth * efficiency.wire) + gather


def layer_communication(
    model: Model, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, experts: bool = False, blocks: int = 2,
) -> Passes:  # fmt: skip
    """Collectives inside one layer that its passes wait for.

    Tensor parallelism: one all-reduce after attention and one after the feed-forward block, in F
    and in B (`blocks`: how many of them the layer has). With sequence parallelism the same bytes as
    all-gather and reduce-scatter, and one more all-gather of each block's input for the weight
    gradient, hidden under it. Experts: their tokens go out and come back, in F and in B.
    """
    c = configuration
    size = 2.0 * c.tokens * model.hidden
    once = blocks * all_reduce(size, tensor_group(c), machine=machine, efficiency=efficiency)
    if c.sequence_parallel and c.tensor > 1:
        once += blocks * _latency(c.tensor, efficiency)
    if experts and model.experts:
        routed = size * model.experts.per_token / c.tensor
        once += 2 * all_to_all(routed, expert_group(c), machine=machine, efficiency=efficiency)
    return Passes(once, once, 0.0)


def reduce_seconds(
    held: Held, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, gradient_bytes: float = 2,
) -> float:  # fmt: skip
    """Sum of the gradients over data parallelism at the end of an iteration, not overlapped; with
    shared-out optimizer state a reduce-scatter and a gather of 16-bit weights, which together move
    as much. From ZeRO stage 2 on every pass reduces its gradients (see `sharding_seconds`), so
    that only the gather is left; stage 3 gathers in every pass too.
    """
    size = {2: 2.0, 3: 0.0}.get(configuration.zero, 2 * gradient_bytes)
    return _over_copies(size, held, configuration, machine, efficiency)


def sharding_seconds(
    held: Held, configuration: Configuration, machine: Machine, *, efficiency: Efficiency
) -> Passes:
    """What ZeRO adds to every microbatch: from stage 2 on a reduce-scatter of the 16-bit gradients
    that W has made, since no device keeps them whole, and in stage 3 a gather of the 16-bit weights
    before F and before B."""
    once = _over_copies(2, held, configuration, machine, efficiency)
    gather = once if configuration.zero == 3 else 0.0
    return Passes(gather, gather, once if configuration.zero >= 2 else 0.0)


def _over_copies(
    size: float, held: Held, c: Configuration, machine: Machine, efficiency: Efficiency
) -> float:
    """A gather of so many bytes per parameter over data parallelism; of experts over fewer."""
    others = Group(c.data // c.expert, c.tensor * c.expert)
    return sum(
        all_gather(size * parameters, group, machine=machine, efficiency=efficiency)
        for parameters, group in ((held.common, data_group(c)), (held.experts, others))
        if size and parameters
    )


def _on_ring(size: float, group: Group, machine: Machine, efficiency: Efficiency) -> float:
    if group.size == 1:
        return 0.0
    wire = ring(machine, group)
    share = (group.size - 1) / group.size
    return (
        _latency(group.size, efficiency)
        + wire.latency
        + (size * share / (wire.bandwidth * efficiency.wire))
    )


def _latency(members: int, efficiency: Efficiency) -> float:
    return efficiency.collective * math.log2(members) if members > 1 else 0.0
