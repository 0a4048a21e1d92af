"""The fastest layout of a periodic order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...schedule.ir import Schedule, Step, Value, reads, writes
from .cycle_ratio import Edge, cycle_ratio
from .layout import Layout, NoLayout
from .problem import BlockProblem
from .unroll import PeriodicOrder


def fastest_layout(problem: BlockProblem, order: PeriodicOrder) -> tuple[Layout, int]:
    """The layout with the smallest period in which devices keep this order (of single passes), in
    ticks / scale, and the scale. NoLayout if the order deadlocks."""
    ops = [op for steps in order.rounds for (op,) in steps]
    found = cycle_ratio(
        len(ops),
        events(
            Schedule(problem.placement, (), 1),
            order,
            lambda step: problem.duration(step[0]),
            problem.send,
        ),
    )
    if found is None:
        raise NoLayout("the order deadlocks")
    period, starts = found
    layout = Layout(
        period.numerator,
        order.n,
        {
            op._replace(microbatch=op.microbatch % order.n): int(start)
            - op.microbatch // order.n * period.numerator
            for op, start in zip(ops, starts, strict=True)
        },
    )
    return layout, period.denominator


def events(
    schedule: Schedule,
    order: PeriodicOrder,
    duration: Callable[[Step], int],
    send: Sequence[int],
) -> list[Edge]:
    """The event graph of a periodic order on the stages of `schedule`: nodes are the steps, device
    after device; edges are what `reads` and the order of the devices demand, in whole ticks.

    A pass of microbatch i that reads from one of microbatch i + k n in the same round reads what
    was written k periods before.
    """
    nodes = [(device, step) for device, steps in enumerate(order.rounds) for step in steps]
    writer: dict[Value, tuple[int, int]] = {}  # value of microbatch modulo n -> node, microbatch
    edges: list[Edge] = []
    for node, (_, step) in enumerate(nodes):
        for op in step:
            for value in writes(schedule, op):
                writer[value._replace(microbatch=op.microbatch % order.n)] = node, op.microbatch
    first = 0
    for steps in order.rounds:
        for node, step in enumerate(steps, first):
            last = node == first + len(steps) - 1
            edges.append((node, first if last else node + 1, duration(step), int(last)))
        first += len(steps)
    for node, (device, step) in enumerate(nodes):
        for op in step:
            for value in reads(schedule, op):
                source, microbatch = writer[value._replace(microbatch=op.microbatch % order.n)]
                if source == node:
                    continue
                length = duration(nodes[source][1])
                if nodes[source][0] != device:
                    length += send[value.stage if value.kind == "activation" else value.stage - 1]
                edges.append((source, node, length, (microbatch - op.microbatch) // order.n))
    return edges
