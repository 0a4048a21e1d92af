"""Compiled: one period of all devices as arrays, what changes it, and what its period is."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...schedule.ir import KINDS, Op
from ..compiled import Ints, compiled
from .cycle_ratio import too_long
from .tables import PassTables
from .unroll import DeviceOrders, PeriodicOrder

SETTLES = 4
"""A start that has to be put off more often than this is taken for one that never settles."""


class Rounds(NamedTuple):
    """One period of all devices. Nodes are passes, numbered as in `in_copies`.

    order: nodes, device after device, device d from first[d] on. lag: of each node, how many
    periods later than the first its microbatch is. place: of each node, its index in `order`.
    """

    order: Ints
    lag: Ints
    place: Ints
    first: Ints


def rounds_of(order: PeriodicOrder, n_stages: int) -> Rounds:
    """A periodic order in nodes."""
    orders = DeviceOrders.of([op for (op,) in steps] for steps in order.rounds)
    return rounds_of_passes(orders, order.n, n_stages)


def rounds_of_passes(orders: DeviceOrders, n: int, n_stages: int) -> Rounds:
    """The same of what devices do in one period of n microbatches."""
    kind, stage, microbatch = orders.passes.T
    nodes = 3 * (microbatch % n * n_stages + stage) + kind
    lag, place = np.empty_like(nodes), np.empty_like(nodes)
    lag[nodes], place[nodes] = microbatch // n, np.arange(nodes.size)
    return Rounds(nodes, lag, place, orders.first)


def order_of_rounds(rounds: Rounds, n: int) -> PeriodicOrder:
    """The inverse of `rounds_of`."""
    n_stages = rounds.order.size // (3 * n)
    steps = []
    for node in rounds.order.tolist():
        copy, number = divmod(node, 3 * n_stages)
        microbatch = copy + n * int(rounds.lag[node])
        steps.append((Op(KINDS[number % 3], number // 3, microbatch),))
    return PeriodicOrder(tuple(tuple(steps[a:b]) for a, b in pairwise(rounds.first)), n)


@compiled
def swap(rounds: Rounds, low: int, high: int, i: int) -> int:
    """Exchange the pass at i and the next one, of a device from low to high; where that one is.

    The next of the last pass is the first one, of the period after. Done twice, nothing changes.
    """
    j = i + 1 if i < high - 1 else low
    a, b = rounds.order[i], rounds.order[j]
    rounds.order[i], rounds.order[j] = b, a
    rounds.place[b], rounds.place[a] = i, j
    if j == low:
        rounds.lag[b] += 1
        rounds.lag[a] -= 1
    return j


@compiled
def keeps_limit(rounds: Rounds, tables: PassTables, d: int) -> bool:
    """Whether a device keeps its limit.

    When a round begins, what is alive is what passes of microbatches before it have left: a pass
    whose microbatch is k periods later has run k times more often than one of the first.
    """
    alive = 0
    nodes = rounds.order[rounds.first[d] : rounds.first[d + 1]]
    for node in nodes:
        alive += tables.net[node] * rounds.lag[node]
    for node in nodes:
        if alive + tables.rise[node] > tables.limit[d]:
            return False
        alive += tables.net[node]
    return True


@compiled
def critical(rounds: Rounds, tables: PassTables, floor: int, starts: Ints) -> tuple[int, int, Ints]:
    """The smallest period of the order as a fraction, and the nodes of a critical cycle that are
    followed on it by the next pass of their device; (-1, 0, -) if it cannot run.

    floor: ticks that no period is below; if it is `floor`, no cycle is given. starts: becomes the
    earliest starts, in ticks x denominator. Newton's method, as in `cycle_ratio`.
    """
    n = rounds.order.size
    edges = edges_of(rounds, tables)
    source, _, length, height = edges
    num, den = floor, 1
    nodes = np.zeros(0, np.int64)
    while True:
        cycle = too_long(edges, num, den, starts)
        if cycle.size == 0:
            return num, den, nodes
        num, den = length[cycle].sum(), height[cycle].sum()
        if den <= 0:
            return -1, 0, nodes
        nodes = source[cycle[cycle < n]]


@compiled
def runs_with(rounds: Rounds, tables: PassTables, num: int, den: int, starts: Ints) -> bool:
    """Whether an order can repeat with the period num / den; then `starts` become the earliest, in
    ticks x den."""
    return bool(too_long(edges_of(rounds, tables), num, den, starts).size == 0)


@compiled
def edges_of(rounds: Rounds, tables: PassTables) -> Ints:
    """Who follows whom, as in `cycle_ratio`; edge i goes from the pass at i to the next."""
    order, lag, _, first = rounds
    n = order.size
    edges = np.empty((4, 2 * n), np.int64)
    source, target, length, height = edges
    for d in range(first.size - 1):  # edge i leaves the pass at i
        low, high = first[d], first[d + 1]
        for i in range(low, high):
            last = i == high - 1
            source[i], target[i] = order[i], order[low if last else i + 1]
            length[i], height[i] = tables.duration[order[i]], 1 if last else 0
    e = n
    for node in range(n):
        writer = tables.writer[node]
        if writer >= 0:
            source[e], target[e] = writer, node
            length[e] = tables.duration[writer] + tables.delay[node]
            height[e] = lag[writer] - lag[node]
            e += 1
    return edges[:, :e]


@compiled
def settles(
    rounds: Rounds, tables: PassTables, changed: Ints, period: tuple[int, int], starts: Ints
) -> bool:
    """Whether an order can repeat with a period (ticks, periods), known from `starts` of one that
    differs around the nodes `changed` only; then `starts` become those of this order.

    A no may be wrong, a yes is not: starts are put off until every pass waits for its inputs and
    its device, which never ends if the period is too short.
    """
    n, (num, den) = rounds.order.size, period
    queue, queued = np.empty(n, np.int64), np.zeros(n, np.bool_)
    put_off = np.zeros(n, np.int64)
    head, size = 0, 0
    # begin with the changed passes and those that they wait for
    for node in changed:
        d, i = tables.device[node], rounds.place[node]
        before = rounds.order[(i if i > rounds.first[d] else rounds.first[d + 1]) - 1]
        for source in (node, before, tables.writer[node]):
            if source >= 0 and not queued[source]:
                queue[(head + size) % n] = source
                size += 1
                queued[source] = True
    while size > 0:
        node = queue[head]
        head, size = (head + 1) % n, size - 1
        queued[node] = False
        d, i = tables.device[node], rounds.place[node]
        last = i == rounds.first[d + 1] - 1
        end = starts[node] + tables.duration[node] * den
        for k in range(3):  # the next pass of the device, then what reads from this one
            if k == 0:
                follower = rounds.order[rounds.first[d] if last else i + 1]
                ready = end - (num if last else 0)
            else:
                follower = tables.readers[node, k - 1]
                if follower < 0:
                    continue
                ready = end + tables.delay[follower] * den
                ready -= (rounds.lag[node] - rounds.lag[follower]) * num
            if ready > starts[follower]:
                starts[follower] = ready
                put_off[follower] += 1
                if put_off[follower] > SETTLES:
                    return False
                if not queued[follower]:
                    queue[(head + size) % n] = follower
                    size += 1
                    queued[follower] = True
    return True
