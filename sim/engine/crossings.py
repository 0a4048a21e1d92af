"""What crosses from one device to another in a schedule, how large it is and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, product
from typing import NamedTuple

from ..base.numbers import Number, exact, plain, scaled
from ..schedule.ir import Schedule, Value
from ..schedule.replicas import GradientSum, gradient_sums
from .cluster import Cluster
from .costs import Costs
from .costs_fit import first_alike


class Crossing(NamedTuple):
    """A `Channel` with its times as they were given."""

    value: Value
    source: int
    destination: int
    route: tuple[str, ...]
    size: Number
    hold: Number
    latency: Number


class _Way(NamedTuple):
    """A value on its way, its bytes, and the latency that costs say it has."""

    value: Value
    source: int
    destination: int
    size: Number
    latency: Number


def crossings_of(schedule: Schedule, costs: Costs, cluster: Cluster) -> list[Crossing]:
    """All that crosses, of one microbatch of each size; and the sums of gradients."""
    found = []
    for way in _ways(schedule, costs):
        if way.source == way.destination:
            continue
        route = cluster.routes.get((way.source, way.destination), ())
        wires = [cluster.links[name] for name in route]
        narrow = min((wire.bandwidth for wire in wires), default=float("inf"))
        hold = exact(way.size) / exact(narrow) if narrow != float("inf") else exact(0)
        latency = exact(way.latency) + sum(exact(wire.latency) for wire in wires)
        found.append(Crossing(*way[:3], route, way.size, plain(hold), plain(latency)))
    return found


def joined(schedule: Schedule) -> set[tuple[int, int]]:
    """All pairs of devices, either way, between which anything of a schedule may cross: of
    neighbouring stages on any route, parts of the vocabulary, replicas, and where a device stores.
    """
    placements = (schedule.placement, *schedule.routes)
    found = {pair for places in placements for pair in pairwise(places)}
    found |= {(one.source, one.destination) for one in gradient_sums(schedule)}
    if schedule.vocabulary:
        found |= {*combinations(range(schedule.n_devices), 2)}
    for device, order in enumerate(schedule.orders):
        partner = schedule.store(device)
        if partner is not None and any(op.kind == "O" for op in order):
            found.add((device, partner))
    return {pair for a, b in found if a != b for pair in ((a, b), (b, a))}


def summed(schedule: Schedule, costs: Costs) -> list[GradientSum]:
    """The sums of gradients that cross: those that take time, or have bytes."""
    return [
        one
        for one in gradient_sums(schedule)
        if costs.gradient_sum[one.op.stage] or costs.gradient_bytes[one.op.stage]
    ]


def _ways(schedule: Schedule, costs: Costs) -> Iterator[_Way]:
    slices, microbatches = range(schedule.n_slices), sorted({*first_alike(costs, schedule)})
    # Boundary b lies between stages b and b + 1.
    for b, part, i in product(range(schedule.n_stages - 1), slices, microbatches):
        left, right = schedule.home(b, i), schedule.home(b + 1, i)
        size = scaled(costs.crossing_bytes(b, part), costs.scale(i, b))
        yield _Way(Value("activation", b, i, part), left, right, size, costs.send[b])
        if schedule.backward[b]:
            yield _Way(Value("gradient", b + 1, i, part), right, left, size, costs.send[b])
    for part, i in product(slices, microbatches) if schedule.vocabulary else ():
        yield from _between_parts(schedule, costs, i, part)
    for one in summed(schedule, costs):
        size, latency = costs.gradient_bytes[one.op.stage], costs.gradient_sum[one.op.stage]
        yield _Way(one.value, one.source, one.destination, size, latency)


def _between_parts(schedule: Schedule, costs: Costs, i: int, part: int) -> Iterator[_Way]:
    """What goes between the parts of the vocabulary, and from the last stage and to it."""
    last, devices = schedule.n_stages - 1, range(schedule.n_devices)
    home, latency = schedule.home(last, i), costs.all_reduce
    whole = scaled(costs.crossing_bytes(last - 1, part) if last else 0, costs.scale(i, last))
    for device in devices:
        yield _Way(Value("activation", last, i, part), home, device, whole, latency)
        if schedule.backward[-1]:
            yield _Way(Value("part_of_gradient", device, i, part), device, home, whole, latency)
            for other in devices:
                yield _Way(Value("part_of_scores", device, i, part), device, other, 0, latency)
