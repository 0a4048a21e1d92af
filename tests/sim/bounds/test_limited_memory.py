"""What a limit on memory costs, with values by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sim import FAMILIES, Costs
from sim.bounds.chains import absolute
from sim.bounds.limited_memory import Item, few_live, full_memory, late_weights, most_work
from sim.bounds.memory import memories
from sim.bounds.workload import Time, workload_of


@pytest.mark.parametrize(
    ("items", "limit", "most"),
    [
        ([], 3, 0),
        ([Item(6, 2, 3)], 4, 12),
        ([Item(6, 2, 3)], 5, 12 + 6 * Fraction(1, 2)),
        ([Item(6, 2, 3)], 100, 18),
        ([Item(6, 2, 3)], -1, 0),
        # What takes no memory runs anyway; then what has the most time for its size.
        ([Item(6, 2, 1), Item(5, 1, 2), Item(1, 0, 4)], 3, 4 + 10 + 6 * Fraction(1, 2)),
        ([Item(3, -1, 2)], 0, 6),
    ],
)
def test_the_most_work_that_fits(items: list[Item], limit: Time, most: Time) -> None:
    assert most_work(items, limit) == most


def test_a_device_that_holds_two_of_four_microbatches() -> None:
    """zb-h1 on two devices, F 2, B 3, W 1, sends of 5. On device 0 an activation lives from F to B
    for 2 + 5 + 2 + 3 + 5 + 3 = 20, and with the W 21."""
    schedule = FAMILIES["zb-h1"](2, 4)
    costs = Costs.of(2, forward=2, backward=3, weight=1, send=5)
    work = workload_of(schedule, costs)
    first, last = absolute(work)
    (memory,) = memories(schedule, costs, 0, 2, None)
    # 4 of 21 under a height of 2; the corners lack one step of one F, and of one W, times 1.
    assert full_memory(work, 0, first, memory) == Fraction(4 * 21 + 2 + 1, 2)
    # Work 24; the first B waits until 17 and finds two F's, 4, run; after the last F come 5 + 2 + 3
    # + 5 + 3 of the way back and a W, 19, in which the B and W of two can run, 8.
    assert few_live(work, 0, first, memory) == 24 + (17 - 4) + (19 - 8)
    # All but the W of two comes before the end of the last B, after which there is one W.
    assert late_weights(work, 0, first, memory) == 24 - 2 + 1
    (memory,) = memories(schedule, costs, 1, 1, None)
    # Device 1 waits 7 for its first F, and one is alive at a time; a W may be the last of all.
    assert full_memory(work, 1, last, memory) == 7 + 4 * (2 + 3 + 1)


@pytest.mark.parametrize(
    ("forward", "backward", "bound"),
    [
        # Work 24. The first B waits until 2 + 5 + 2 + 3 + 5 and finds 8 of F; after the last F come
        # 5 + 2 + 3 + 5 + 3 + 1, in which 16 of B and W run. Either may be, but not both.
        (2, 3, 24 + max(17 - 8, 19 - 16)),
        # The other way round: 4 + 5 + 4 + 1 + 5 with 16 of F, and 5 + 4 + 1 + 5 + 1 + 1 with 8.
        (4, 1, 24 + max(19 - 16, 17 - 8)),
    ],
)
def test_where_all_microbatches_fit_one_end_at_most_is_idle(
    forward: int, backward: int, bound: int
) -> None:
    schedule = FAMILIES["zb-h1"](2, 4)
    costs = Costs.of(2, forward=forward, backward=backward, weight=1, send=5)
    work = workload_of(schedule, costs)
    (memory,) = memories(schedule, costs, 0, 4, None)
    assert few_live(work, 0, absolute(work)[0], memory) == bound


def test_a_stage_that_keeps_nothing_does_not_fill_the_memory() -> None:
    """zb-v on one device, whose first stage keeps nothing. The second one keeps 10 for F 5, B 1 and
    W 1: 70 for each of four. Under 20 the first step of filling it up takes 5, and lacks 10 of 20;
    of emptying it 1, and lacks 10."""
    schedule = FAMILIES["zb-v"](1, 4)
    costs = Costs.of(2, forward=(1, 5), backward=1, weight=1, activation_bytes=(0, 10))
    work = workload_of(schedule, costs)
    (memory,) = memories(schedule, costs, 0, None, 20)
    assert full_memory(work, 0, absolute(work)[0], memory) == Fraction(4 * 70 + 5 * 10 + 10, 20)
