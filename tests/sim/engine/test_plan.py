"""What the engine works out before it plays: which steps are alike, and times that add up."""

from __future__ import annotations

import sys

import pytest

from sim import FAMILIES, Costs, Op, Schedule, simulate
from sim.metrics.metrics import makespan


def test_fused_steps_that_begin_alike_and_end_otherwise_take_their_own_time() -> None:
    """One device with two stages. A forward of stage 0 is fused with a backward of stage 1 (3), the
    next one with one of stage 0 (30); all passes together are 3 (1 + 1) + 3 (30 + 3)."""

    def f(microbatch: int, stage: int) -> Op:
        return Op("F", stage, microbatch)

    def b(microbatch: int, stage: int) -> Op:
        return Op("BW", stage, microbatch)

    order = (
        f(0, 0), f(0, 1), f(1, 0), b(0, 1), f(1, 1), f(2, 0), b(0, 0), f(2, 1), b(1, 1), b(1, 0),
        b(2, 1), b(2, 0),
    )  # fmt: skip
    fused = ((f(1, 0), b(0, 1)), (f(2, 0), b(0, 0)))
    schedule = Schedule((0, 0), (order,), 3, fused=fused)
    costs = Costs.of(2, forward=1, backward=[20, 2], weight=[10, 1])
    assert makespan(simulate(schedule, costs)) == 3 * 2 + 3 * 33


def test_times_whose_sum_is_no_number_are_refused_and_the_longest_others_are_not() -> None:
    """Two passes, waits beside them and the end count: five times."""
    schedule = FAMILIES["1f1b"](1, 1)
    longest = sys.float_info.max / 5
    assert makespan(simulate(schedule, Costs.of(1, forward=longest, backward=0, weight=0))) == (
        longest
    )
    with pytest.raises(ValueError, match="is too long: 5 of them add up to more than a float"):
        simulate(schedule, Costs.of(1, forward=1.01 * longest, backward=0, weight=0))
