"""An independent view of periodic orders for tests: their event graph, taken from reads and writes.

A node is a step; an edge says that a step of one period waits for a step of that or an earlier one.
"""

from __future__ import annotations

import math
from itertools import chain

from sim.base.numbers import Number, exact, plain
from sim.engine.costs import Costs
from sim.schedule.dependencies import reads, writes
from sim.schedule.ir import Schedule, Step, Value
from sim.search.periodic.cycle_ratio import Edge, cycle_ratio
from sim.search.periodic.steady_state import repeating
from sim.search.periodic.unroll import PeriodicOrder


def interval(schedule: Schedule, costs: Costs) -> Number:
    """Time per microbatch in the steady state of a schedule; ValueError if its order does not
    repeat."""
    return interval_of(repeating(schedule), schedule, costs)


def interval_of(order: PeriodicOrder, schedule: Schedule, costs: Costs) -> Number:
    """Time per microbatch of endless repetition on the stages of `schedule`: the largest mean over
    the cycles of the event graph."""
    all_steps = set(chain(*order.rounds))
    per_unit = math.lcm(
        *(exact(time).denominator for time in [*map(costs.duration, all_steps), *costs.send])
    )
    found = cycle_ratio(sum(map(len, order.rounds)), events(order, schedule, costs, per_unit))
    assert found is not None, "the order deadlocks"
    return plain(found[0] / per_unit / order.n)


def events(order: PeriodicOrder, schedule: Schedule, costs: Costs, per_unit: int) -> list[Edge]:
    """The edges in ticks; nodes are the steps, device after device."""
    nodes = [(device, step) for device, steps in enumerate(order.rounds) for step in steps]
    writer: dict[Value, tuple[int, int]] = {}  # value of microbatch modulo n -> node, microbatch
    edges: list[Edge] = []

    def ticks(step: Step) -> int:
        return int(exact(costs.duration(step)) * per_unit)

    for node, (_, step) in enumerate(nodes):
        for op in step:
            for value in writes(schedule, op):
                writer[value._replace(microbatch=op.microbatch % order.n)] = node, op.microbatch
    first = 0
    for steps in order.rounds:
        for node, step in enumerate(steps, first):
            last = node == first + len(steps) - 1
            edges.append((node, first if last else node + 1, ticks(step), int(last)))
        first += len(steps)
    for node, (device, step) in enumerate(nodes):
        for op in step:
            for value in reads(schedule, op):
                source, microbatch = writer[value._replace(microbatch=op.microbatch % order.n)]
                if source == node:
                    continue
                length = ticks(nodes[source][1])
                if nodes[source][0] != device:
                    boundary = value.stage if value.kind == "activation" else value.stage - 1
                    length += int(exact(costs.send[boundary]) * per_unit)
                edges.append((source, node, length, (microbatch - op.microbatch) // order.n))
    return edges
