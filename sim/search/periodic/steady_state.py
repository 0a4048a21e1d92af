"""The steady state of a schedule: the part of its order that repeats."""

from __future__ import annotations

from itertools import chain

from ...schedule.dependencies import steps
from ...schedule.ir import Op, Schedule, Step
from .unroll import PeriodicOrder, later


def repeating(schedule: Schedule, *, largest: int = 64) -> PeriodicOrder:
    """The repeating part of a schedule's order, with as few microbatches per period as it has.

    It is the stretch of every device's order that does the same again `n` microbatches later, for
    the smallest `n` (at most `largest`, or the number of devices) that covers half of the order;
    where none does, for the one that covers the most of it.
    """
    orders = [tuple(steps(schedule, device)) for device in range(schedule.n_devices)]
    best: tuple[float, PeriodicOrder] | None = None
    most = max(largest, schedule.n_devices, schedule.n_slices)
    for n in range(1, min(schedule.n_microbatches // 2, most) + 1):
        covered, rounds = 1.0, []
        for order in orders:
            share, found = _round(order, n, schedule.n_microbatches)
            if not found or (best and share <= best[0]):
                break
            covered = min(covered, share)
            rounds.append(found)
        if len(rounds) == len(orders):
            best = covered, PeriodicOrder(tuple(rounds), n)
            if covered >= 0.5:
                break
    if best is None:
        raise ValueError(
            f"{schedule.name} with {schedule.n_microbatches} microbatches has no repeating order: "
            "use more microbatches, or a schedule with a steady state"
        )
    return best[1]


def _round(order: tuple[Step, ...], n: int, m: int) -> tuple[float, tuple[Step, ...]]:
    """One period of `order`, from the middle of the longest stretch that repeats n microbatches
    later, and which share of the order that stretch is; an empty period if nothing repeats.

    A step and the same one n microbatches later are `lag` positions apart; where that distance
    stays the same for at least as many steps, all of them repeat.
    """
    where = {step[0]: position for position, step in enumerate(order)}
    longest, run, lag_before = (0, 0, 0), 0, 0
    for position, step in enumerate(order):
        same = later(step, n)
        again = where.get(same[0], position)
        lag = again - position if order[again] == same else 0
        run = run + 1 if lag and lag == lag_before else (1 if lag else 0)
        lag_before = lag
        if run > longest[0]:
            longest = run, position, lag
    run, last, lag = longest
    if lag <= 0 or run < lag:
        return 0.0, ()
    start = last - run + 1 + (run - lag) // 2
    found = order[start : start + lag]
    ops = list(chain(*found))
    distinct = {op._replace(microbatch=op.microbatch % n) for op in ops}
    complete = len(distinct) == len(ops) and _passes(ops) * m == n * _passes(list(chain(*order)))
    return ((run + lag) / len(order), found) if complete else (0.0, ())


def _passes(ops: list[Op]) -> int:
    """How many passes of F, B and W these are; a fused backward is two."""
    return sum(2 if op.kind == "BW" else 1 for op in ops)
