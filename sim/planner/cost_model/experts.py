"""What a mixture of experts costs beside its multiplications: the router, sorting tokens by expert,
and sending them to the devices that hold theirs.

F: the router picks experts (some small kernels); tokens are copied into the order of their experts
(read once each, written once per expert), sent, sorted again where a device has several experts,
and brought back the same way, added up. B does the same with gradients.
"""

from __future__ import annotations

from ..hardware import Machine
from ..models import Model
from .collectives import all_to_all
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


def dispatch_seconds(
    model: Model, configuration: Configuration, machine: Machine, *, efficiency: Efficiency
) -> float:
    """Seconds of sending tokens to their experts and back, in F, and in B as many; and of waiting
    for the numbers of tokens, without which the host cannot go on; a capacity is known before."""
    c = configuration
    if not model.experts:
        return 0.0
    sent = c.tokens * model.experts.per_token * c.taken
    routed = 2.0 * sent * model.expert_width / c.tensor
    there = all_to_all(routed, expert_group(c), machine=machine, efficiency=efficiency)
    return 2 * there + (0.0 if c.capacity else efficiency.dispatch)
