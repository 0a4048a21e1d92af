"""The block with the smallest repeating interval under a memory limit, for the real times, proven.

    >>> from sim import Costs
    >>> costs = Costs.of(8, forward=2.5, backward=3.5, weight=1.5, send=0)
    >>> block = smallest_interval((0, 1, 2, 3, 3, 2, 1, 0), costs, memory_limit=2)
    >>> block.interval, block.interval_bound, block.proven  # V-Min's own interval is 21
    (18, 18, True)

How: a period is possible or impossible, exactly (`straight`, `nested` and `constraint_model`, by
placement); possible periods are narrowed down by bisection, first in coarse ticks (times rounded up
to find, rounded down to exclude: both statements stay true), then in exact ones. The order found is
then run as fast as it can (`cycle_ratio`). Its critical cycle meets every pass at most once, so its
height in periods is bounded, and excluding the next smaller fraction proves the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from ...base.numbers import Number, exact, plain
from ...engine.costs import Costs
from ..effort import Effort
from .bisection import FINE, Decide, Search, last_digit, narrowed
from .decide_straight import is_straight, straight_layout
from .layout import Broken, checked_layout
from .longer_periods import Solver, several
from .problem import (
    Answer,
    Layout,
    Problem,
    chain_length,
    memory_bound,
    packed,
    problem_of,
    rescaled,
    work_bound,
)

Times = tuple[tuple[Number, ...], ...]


@dataclass(frozen=True)
class ComputedBlock:
    """Where the passes of the microbatches of one period lie in time; it repeats every `period`.

    placement: device of each stage. forward, backward, weight: start times in the unit of the
        costs, shape `(n, n_stages)` for n microbatches per period; microbatch i runs like i mod n,
        `period * (i // n)` later.
    interval: time per microbatch, period / n.
    interval_bound: no block with at most `per_period` microbatches per period can do with less.
    floor: no order whatsoever can do with less (work of the busiest device, memory x time).
    proven: whether interval equals interval_bound. method: how it was found.
    """

    placement: tuple[int, ...]
    forward: Times
    backward: Times
    weight: Times
    period: Number
    interval: Number
    interval_bound: Number
    floor: Number
    proven: bool
    method: str
    per_period: int = 1

    @property
    def n_microbatches(self) -> int:
        """Microbatches per period."""
        return len(self.forward)

    @property
    def n_devices(self) -> int:
        return max(self.placement) + 1


def smallest_interval(
    placement: Sequence[int],
    costs: Costs,
    *,
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    microbatches_per_period: int | None = 1,
    time_limit: float = 30.0,
    seed: int = 0,
    workers: int = 1,
    warm_start: ComputedBlock | None = None,
    effort: Effort | None = None,
    without: Collection[str] = (),
) -> ComputedBlock:
    """The block that repeats fastest under the memory limit, and how fast any block could.

    memory_limit: shares of a device's whole activation of one microbatch, one number or one per
        device; or memory_bytes: what a device may hold, static bytes included, with the signed
        changes of `Costs`. Neither: no limit.
    microbatches_per_period: at most so many; more than one can be faster but is harder to prove.
        None: as many as the memory holds, at least 2 and at most 16.
    time_limit: seconds of `effort`, a clock that may count work instead of time: then equal calls
        give equal blocks on every machine. warm_start: a block of the same placement that keeps
        the limit. without: methods not to use: longer-periods (more than one microbatch per
        period), or of these dispatch, climb, period-solver.

    Raises ValueError for a limit that not even one microbatch meets, naming the smallest that can.
    """
    most = microbatches_per_period
    if most is not None and (isinstance(most, bool) or most < 1):
        raise ValueError(f"microbatches_per_period is {most!r}: it must be a whole number >= 1")
    problem, tick = problem_of(
        placement, costs, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    most = _held(problem) if most is None else most
    if "longer-periods" in without:
        most = 1
    floor = max(Fraction(work_bound(problem)), memory_bound(problem))
    _compile(_kind(problem))  # once per machine, not out of the caller's time
    if chain_length(problem) == 0:
        return _instant(problem)
    effort = effort or Effort()
    until = effort.now() + max(time_limit, 0)
    search = Search(problem, floor, until, workers, seed, effort)
    if warm_start is not None:
        _offer_block(search, warm_start, tick)
    if problem.limit is None:
        _without_limit(search)
    else:
        kind = _kind(problem)
        end = search.deadline
        if most > 1:  # the last digit of one per period is not worth it all
            search.deadline = effort.now() + 0.15 * search.left
        narrowed(search, _engine(search), 1, _METHOD[kind], coarse=kind != "straight")
        search.deadline = end
        if most == 1 and kind == "nested" and search.open:
            last_digit(search, Solver(search, 1).decide, 1, _METHOD["any"])
        if most > 1 and search.best > floor:
            several(search, _engine(search), most, without)
    layout, scale = search.layout, search.scale
    checked_layout(problem, layout, scale)
    unit = tick / scale
    interval = plain(search.best * tick)
    bound = plain(min(search.bound, search.best) * tick)

    def times(rows: tuple[tuple[int, ...], ...]) -> Times:
        return tuple(tuple(plain(start * unit) for start in row) for row in rows)

    return ComputedBlock(
        problem.placement,
        times(layout.forward),
        times(layout.backward),
        times(layout.weight),
        plain(layout.period * unit),
        interval,
        bound,
        plain(floor * tick),
        bound == interval,
        search.method,
        most,
    )


def _held(problem: Problem) -> int:
    """How many microbatches every device can hold, between 2 and 16; blocks of more per period than
    that have not been of use."""
    if problem.limit is None:
        return 2
    shares = [
        limit // (sum(problem.kept[s] for s in stages) or limit or 1)
        for limit, stages in zip(problem.limit, problem.stages_of, strict=True)
    ]
    return min(max(2, min(shares)), 16)


def _instant(problem: Problem) -> ComputedBlock:
    """Nothing takes any time: everything happens at once."""
    rows = ((0,) * len(problem.placement),)
    return ComputedBlock(
        problem.placement, rows, rows, rows, 0, 0, 0, 0, True, "no pass takes time"
    )


def _without_limit(search: Search) -> None:
    """The busiest device alone decides; take a layout that does not hold more than it must."""
    problem = search.problem
    period = work_bound(problem)
    if period == 0:
        return
    if _kind(problem) == "straight":
        layout = straight_layout(problem, period)
        if layout is not None:
            search.offer(layout, problem, _METHOD["straight"])
    elif _kind(problem) == "nested" and period <= FINE / 2:
        for factor in (1, 2, 4):
            limit = tuple(2 * factor * problem.n_devices for _ in problem.stages_of)
            found = _Nested(search).decide(replace(problem, limit=limit), period)
            if found.layout is not None:
                search.offer(found.layout, problem, _METHOD["nested"])
                break
    search.offer(packed(problem), problem, "one round of passes per device")


def _offer_block(search: Search, block: ComputedBlock, tick: Fraction) -> None:
    """Start from a known block, if it is one of this problem."""
    if block.placement != search.problem.placement:
        raise ValueError(
            f"warm_start is on placement {block.placement}, not {search.problem.placement}"
        )
    rows = [
        [exact(t) / tick for t in row] for row in (*block.forward, *block.backward, *block.weight)
    ]
    scale = math.lcm(
        (exact(block.period) / tick).denominator, *(t.denominator for row in rows for t in row)
    )
    whole = [tuple(int(t * scale) for t in row) for row in rows]
    n = block.n_microbatches
    layout = Layout(
        int(exact(block.period) / tick * scale),
        tuple(whole[:n]),
        tuple(whole[n : 2 * n]),
        tuple(whole[2 * n :]),
    )
    with suppress(Broken):  # another limit or other times: not a block here
        search.offer(layout, rescaled(search.problem, scale, 1), block.method)


def _kind(problem: Problem) -> str:
    if is_straight(problem):
        return "straight"
    return (
        "nested"
        if len(problem.placement) == 2 * problem.n_devices
        and (problem.placement == problem.placement[::-1])
        else "any"
    )


def _compile(kind: str) -> None:
    """Load (or make, the first time on a machine) the machine code of the tables."""
    if kind == "nested":
        from .decide_v import nested_layout

        four = (1,) * 4
        tiny = Problem((0, 1, 1, 0), four, four, four, (1, 0, 1), four, (0,) * 4, (4, 4))
        nested_layout(tiny, 8)


_METHOD = {
    "straight": "exact recursion over devices",
    "nested": "exact table over devices",
    "any": "modulo scheduling with CP-SAT",
}


def _engine(search: Search) -> Decide:
    """How to decide about one microbatch per period on this placement."""
    kind = _kind(search.problem)
    if kind == "straight":
        return _straight(search)
    if kind == "nested":
        return _Nested(search).decide
    return Solver(search, 1).decide


def _straight(search: Search) -> Decide:
    def decide(problem: Problem, period: int) -> Answer:
        search.effort.played(3 * len(problem.placement))
        return Answer(straight_layout(problem, period), True)

    return decide


class _Nested:
    """Tables over devices, as long as they promise to be done in time."""

    def __init__(self, search: Search) -> None:
        self.search, self.pace = search, 1e-8  # seconds per state and device, measured as we go

    def decide(self, problem: Problem, period: int) -> Answer:
        from .decide_v import nested_layout, states

        size = states(problem, period)
        if size * self.pace > self.search.left:
            return Answer(None, False)
        effort = self.search.effort
        start = effort.now()
        verdict = nested_layout(problem, period, effort=effort)
        if verdict is None:
            return Answer(None, False)
        if size > 1_000_000:
            self.pace = max((effort.now() - start) / size, 2e-9)
        return Answer(verdict.layout, verdict.proven)
