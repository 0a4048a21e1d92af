"""Decides exactly whether a pipeline of one stage per device can repeat with a given period.

With one stage per device only the loop I from the start of F to the start of its B matters: the
shorter the loop of device d+1, the shorter that of device d may be, and a shorter loop never holds
more memory. So from the last device up, each takes the smallest loop that is not shorter than
I(d+1) + F + B + 2 sends and leaves a gap for W on the circle of one period:

    0   F   F+W             T-B    T        B may start at F .. T-B-W (its W right behind it)
    |FFF|...................|BBB|           or at F+W .. T-B (the W of an older one after F)
"""

from __future__ import annotations

from collections.abc import Iterator

from ...schedule.ir import Op
from .layout import Layout
from .problem import BlockProblem


def straight_layout(problem: BlockProblem, period: int) -> Layout | None:
    """A layout of that period; None is a proof that there is none."""
    T, last = period, len(problem.placement) - 1
    loops, waits = [0] * (last + 1), [0] * (last + 1)
    least = problem.forward[last]
    for s in range(last, -1, -1):
        found = _smallest_loop(problem, T, s, least)
        if found is None:
            return None
        loops[s], waits[s] = found
        if s:
            least = (
                loops[s] + problem.forward[s - 1] + problem.backward[s] + 2 * problem.send[s - 1]
            )
    start, now = dict[Op, int](), 0
    for s in range(last + 1):
        start[Op("F", s, 0)] = now
        start[Op("B", s, 0)] = now + loops[s]
        start[Op("W", s, 0)] = now + loops[s] + problem.backward[s] + waits[s]
        now += problem.forward[s] + (problem.send[s] if s < last else 0)
    return Layout(T, 1, start)


def _smallest_loop(problem: BlockProblem, T: int, s: int, least: int) -> tuple[int, int] | None:
    """The smallest loop >= `least` of a stage, and how long its W waits; None if nothing fits."""
    if problem.forward[s] + problem.backward[s] + problem.weight[s] > T:
        return None
    loop, most, wait = min(_candidates(problem, T, s, least))
    if problem.limit is not None and most > problem.limit[problem.placement[s]]:
        return None  # a longer loop holds no less
    return loop, wait


def _candidates(
    problem: BlockProblem, T: int, s: int, least: int
) -> Iterator[tuple[int, int, int]]:
    """The smallest loops >= least with B at a phase in [f, T-b-w], its W behind it, and in
    [f+w, T-b], its W behind the next F; with the most units alive and the wait of W. A B without
    length may sit at T, before the next F."""
    f, b, w = problem.forward[s], problem.backward[s], problem.weight[s]
    kept, change = problem.kept[s], problem.change[s]
    for low, high, late in ((f, T - b - w, False), (f + w, T - b, True)):
        if low > high:
            continue
        whole, phase = divmod(least, T)
        if phase == 0 and whole and high == T:
            whole, phase = whole - 1, T
        start = max(phase, low)
        if start > high:
            whole, start = whole + 1, low
        # passes in one period: F, B, W, where `whole` older microbatches are alive behind F, or
        # F, W, B, where one more is, which has had its B
        most = kept * (whole + 2) + change if late else kept * (whole + 1) + max(change, 0)
        yield whole * T + start, most, max(T + f - start - b, 0) if late else 0
