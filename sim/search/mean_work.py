"""How long devices work in a schedule: what is left of a clock is its bubble."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from ..base.numbers import Number, exact
from ..engine.costs import Costs
from ..engine.costs_fit import first_alike
from ..schedule.dependencies import steps
from ..schedule.ir import QUEUES, Kind, Op, Schedule


def mean_work(schedule: Schedule, costs: Costs, *, idle: tuple[Kind, ...] = ()) -> float:
    """Time that a device computes, in the mean over devices, in units of the costs.

    idle: kinds of passes that count as none.
    """
    alike, leave = first_alike(costs, schedule), {*QUEUES, *idle}
    how_often: Counter[tuple[Op, ...]] = Counter()
    for device in range(schedule.n_devices):
        for step in steps(schedule, device):
            left = [op._replace(microbatch=alike[op.microbatch]) for op in step]
            how_often[tuple(op for op in left if op.kind not in leave)] += 1
    times = (exact(costs.duration(step)) * n for step, n in how_often.items() if step)
    return float(sum(times, Fraction(0)) / schedule.n_devices)


def bubble_beside(work: float, clock: Number) -> float:
    """The share of a clock in which a device does nothing, if it works for so long."""
    return max(1 - work / float(clock), 0.0) if clock else 0.0
