"""The fastest layout of a periodic order."""

from __future__ import annotations

from ...schedule.ir import Op
from .cycle_ratio import Edge, cycle_ratio
from .layout import Layout, NoLayout
from .problem import BlockProblem, dependencies
from .unroll import PeriodicOrder


def fastest_layout(problem: BlockProblem, order: PeriodicOrder) -> tuple[Layout, int]:
    """The layout with the smallest period in which devices keep this order (of single passes), in
    ticks / scale, and the scale. NoLayout if the order deadlocks.

    A node of the graph is a pass. In round k it runs for a microbatch that is `lag` periods later
    than k: what it reads was written as many rounds before as the lag of the writer is larger.
    """
    node = dict[Op, int]()  # of passes of microbatches 0 to n - 1
    lag, length = list[int](), list[int]()
    edges: list[Edge] = []
    for steps in order.rounds:
        first = len(lag)
        for (op,) in steps:
            node[op._replace(microbatch=op.microbatch % order.n)] = len(lag)
            lag.append(op.microbatch // order.n)
            length.append(problem.duration(op))
        for i in range(first, len(lag)):
            last = i == len(lag) - 1
            edges.append((i, first if last else i + 1, length[i], int(last)))
    for i in range(order.n):
        for writer, reader, send in dependencies(problem):
            a, b = node[writer._replace(microbatch=i)], node[reader._replace(microbatch=i)]
            edges.append((a, b, length[a] + send, lag[a] - lag[b]))
    found = cycle_ratio(len(lag), edges)
    if found is None:
        raise NoLayout("the order deadlocks")
    period, starts = found
    start = {op: int(starts[x]) - lag[x] * period.numerator for op, x in node.items()}
    return Layout(period.numerator, order.n, start), period.denominator
