"""Improve an order by constraint programming inside windows of time, proving what it can.

Between two moments the passes of all devices may run in any order; before and after, the order
stays. What comes before is a fixed picture. What comes after shrinks to numbers: how much time
passes from each pass in the window to the end of the schedule. So a model holds the window's
passes alone, and a window over the whole schedule is the exact problem.
"""

from __future__ import annotations

from typing import NamedTuple

from ..settings import budget
from ..settings.run_options import RunOptions
from .limits import UNLIMITED
from .problem import Fence, Order, OrderProblem
from .replay import replayed, within
from .timed import timed_order


class Improved(NamedTuple):
    """What one window gave: an order at least as good, its value, and a bound if it was whole.

    bound: no order that keeps what lies outside the window is better. proven: bound = value.
    """

    order: Order
    value: int
    bound: int
    proven: bool


def window(
    problem: OrderProblem,
    order: Order,
    *,
    low: int = 0,
    high: int = UNLIMITED,
    free: Fence | None = None,
    seconds: float = 5,
    bound: int = 0,
    run: RunOptions | None = None,
) -> Improved:
    """The best order that differs from `order` only in passes running between `low` and `high`.

    free: positions on each device that may change, from the first on and before the second.
    seconds: for the solver, by the clock of `run`. bound: a known lower bound on the clock, in
    ticks of the problem.
    """
    from .window_model import solved

    run = run or RunOptions()
    timed = timed_order(problem, order)
    spots = []
    for d, row in enumerate(timed.rows):
        xs = [x for x, item in enumerate(row) if timed.end[item] > low and timed.start[item] < high]
        chosen = range(xs[0], xs[-1] + 1) if xs else range(0)
        if free is not None:
            chosen = range(max(chosen.start, free.low[d]), min(chosen.stop, free.high[d]))
        spots.append(chosen)
    as_it_was = Improved(order, timed.value, 0, False)
    if sum(map(len, spots)) < 2:
        return as_it_was
    run.effort.worked(budget.SECONDS_PER_MODELLED_PASS * order.size)
    found = solved(timed, spots, seconds=seconds, bound=bound, run=run)
    if found is None:
        return as_it_was
    new, limit, proven = found
    after = replayed(problem, new).value
    if after > timed.value or not within(problem, new):
        return as_it_was._replace(bound=limit)
    return Improved(new, after, limit, proven)
