"""Seconds of collectives: bytes on a ring of wires, and one message's time per hop.

    reduce-scatter, all-gather: n - 1 hops, (n-1)/n of the bytes over every wire
    all-reduce: twice that in bytes; NCCL takes trees where the hops of a ring would take longer, so
                that the latency is that of 2 log2(n) hops (Jeaugey 2019, "Massively scale your deep
                learning training with NCCL 2.4")

A ring over several nodes crosses their border once per node; its other hops stay inside.
"""

from __future__ import annotations

import math

from ..hardware import Group, Machine, ring
from .efficiency import Efficiency


def all_reduce(
    size: float, group: Group, *, machine: Machine, efficiency: Efficiency, messages: int = 1
) -> float:
    """Every member ends with the sum of `size` bytes: 2 (n-1)/n of them cross each wire."""
    if group.size == 1:
        return 0.0
    hops = 2 * math.ceil(math.log2(group.size))  # of a tree, never more than of a ring
    start = _start(group, machine, efficiency, hops / (group.size - 1))
    return messages * start + _bytes(2 * size, group, machine, efficiency)


def all_gather(
    size: float, group: Group, *, machine: Machine, efficiency: Efficiency, messages: int = 1
) -> float:
    """Every member ends with all `size` bytes (or, reduce-scatter, with its sum of a piece)."""
    if group.size == 1:
        return 0.0
    start = _start(group, machine, efficiency, 1)
    return messages * start + _bytes(size, group, machine, efficiency)


def all_to_all(size: float, group: Group, *, machine: Machine, efficiency: Efficiency) -> float:
    """Every member keeps 1/n of its `size` bytes and sends the rest away, all at once.

    What leaves the node is limited by the member's own card, what stays by the inner wire; both go
    on at the same time.
    """
    if group.size == 1:
        return 0.0
    here = in_a_node(group, machine)
    inside = size * (here - 1) / group.size / machine.inside.bandwidth
    away = size * (group.size - here) / group.size / machine.between.bandwidth
    latency = (machine.between if group.size > here else machine.inside).latency
    start = efficiency.collective * math.log2(group.size) + latency
    return start + max(inside, away) / efficiency.wire


def in_a_node(group: Group, machine: Machine) -> int:
    """How many members share a node."""
    return min(max(machine.per_node // group.stride, 1), group.size)


def _bytes(size: float, group: Group, machine: Machine, efficiency: Efficiency) -> float:
    share = (group.size - 1) / group.size
    return size * share / (ring(machine, group).bandwidth * efficiency.wire)


def _start(group: Group, machine: Machine, efficiency: Efficiency, share: float) -> float:
    """Seconds before the first byte is everywhere: members wait for each other, the longer the more
    they are, and messages hop; `share` of a whole ring's hops."""
    crossings = math.ceil(group.size / in_a_node(group, machine)) - 1
    inside = group.size - 1 - crossings
    hops = crossings * ring(machine, group).latency + inside * machine.inside.latency
    return efficiency.collective * math.log2(group.size) + share * hops
