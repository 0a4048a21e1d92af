"""What a mixture of experts costs beside its multiplications: the router, sorting tokens by expert,
and sending them to the devices that hold theirs.

F: the router picks experts (some small kernels); tokens are copied into the order of their experts
(read once each, written once per expert), sent, sorted again where a device has several experts,
and brought back the same way, added up. B does the same with gradients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..hardware import Group, Machine
from ..models import Model
from .collectives import all_to_all, in_a_node
from .configuration import Configuration
from .efficiency import Efficiency
from .groups import expert_group
from .kernels import Bench, Work, moved

ROUTER_KERNELS = 20
"""Softmax, top-k, counts, offsets, maps and the balancing loss, one small kernel each."""


def sorting(bench: Bench) -> Work:
    """Permuting and un-permuting the tokens of one layer in F; B as much."""
    c, experts = bench.configuration, bench.model.experts
    if not experts:
        return Work()
    tokens = c.tokens / c.token_cut
    routed = tokens * experts.per_token * c.taken
    once = 2.0 * bench.model.expert_width * (tokens + routed)
    again = (
        4.0 * bench.model.expert_width * routed
        if c.expert > 1 and experts.count > c.expert
        else 0.0
    )
    return moved(bench, 2 * (once + again), ROUTER_KERNELS + 4)


class Sent(NamedTuple):
    """Seconds of sending tokens to their experts and back, and of waiting for the numbers of
    tokens, without which the host cannot go on."""

    moved: float = 0.0
    waited: float = 0.0


def dispatch_seconds(
    model: Model, configuration: Configuration, machine: Machine, *, efficiency: Efficiency
) -> Sent:
    """What experts cost in F beside their work, and in B as much; a capacity is known before, and
    some programs leave the numbers on the device."""
    c = configuration
    if not model.experts:
        return Sent()
    token = 2.0 * c.tokens * model.expert_width / c.tensor
    copies = model.experts.per_token * c.taken
    group = expert_group(c)
    if c.habits.sends_once:
        there = _sent_once(token, copies, group, machine=machine, efficiency=efficiency)
    else:
        there = all_to_all(token * copies, group, machine=machine, efficiency=efficiency)
    known = c.capacity or c.habits.counts_stay
    return Sent(2 * there, 0.0 if known else efficiency.dispatch)


def _sent_once(
    size: float, copies: float, group: Group, *, machine: Machine, efficiency: Efficiency
) -> float:
    """Tokens of `size` bytes cross to each other node once that holds any of their experts, of
    which they have so many, and are handed on inside to each device that does. Experts are as
    likely to be on any of n nodes or devices: of these a token meets n (1 - (1 - 1/n)^copies)."""
    if group.size == 1:
        return 0.0

    def met(n: int) -> float:
        """Of the others."""
        missed: float = (1 - 1 / n) ** copies
        return (n - 1) * (1 - missed)

    here = in_a_node(group, machine)
    nodes = -(-group.size // here)
    away = size * met(nodes) / machine.between.bandwidth
    inside = size * (met(group.size) if here > 1 else 0.0) / machine.inside.bandwidth
    latency = (machine.between if nodes > 1 else machine.inside).latency
    start = efficiency.collective * math.log2(group.size) + latency
    return start + max(inside, away) / efficiency.wire
