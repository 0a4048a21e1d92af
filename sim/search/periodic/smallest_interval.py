"""The block with the smallest repeating interval under a memory limit, for the real times, proven.

    >>> from sim import Costs
    >>> costs = Costs.of(8, forward=2.5, backward=3.5, weight=1.5, send=0)
    >>> block = smallest_interval((0, 1, 2, 3, 3, 2, 1, 0), costs, memory_limit=2)
    >>> block.interval, block.interval_bound, block.proven  # V-Min's own interval is 21
    (18, 18, True)

How: a period is possible or impossible, exactly (`decide_straight`, `decide_v` and `decide_any`, by
placement); possible periods are narrowed down by bisection, first in coarse ticks (times rounded up
to find, rounded down to exclude: both statements stay true), then in exact ones. The order found is
then run as fast as it can (`cycle_ratio`). Its critical cycle meets every pass at most once, so its
height in periods is bounded, and excluding the next smaller fraction proves the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ...base.interrupts import polled_sigint
from ...base.numbers import Number, exact, plain
from ...engine.costs import Costs
from ...schedule.ir import KINDS, Kind, Op
from ..settings.effort import Effort
from ..settings.methods import left_out
from ..settings.run_options import RunOptions
from . import budget
from .bisection import FINE, Bracket, last_digit, narrow
from .decide_straight import straight_layout
from .deciders import METHOD, by_solver, by_table, decider, decider_name
from .floors import chain_length, memory_bound, work_bound
from .layout import Layout, check_layout, device_by_device, order_of
from .longer_periods import try_longer_periods
from .meetings import meeting_bound
from .problem import BlockProblem, problem_of
from .slot_grid_climb import moved_weights
from .slot_grid_orders import offered, periodic, ranked_grids
from .slot_grid_spot import Ranking

Times = tuple[tuple[Number, ...], ...]


@dataclass(frozen=True)
class ComputedBlock:
    """Where the passes of the microbatches of one period lie in time; it repeats every `period`.

    placement: device of each stage. forward, backward, weight: start times in the unit of the
        costs, shape `(n, n_stages)` for n microbatches per period; microbatch i runs like i mod n,
        `period * (i // n)` later.
    interval: time per microbatch, period / n.
    interval_bound: no block with at most `per_period` microbatches per period can do with less.
        What was excluded, or follows from how microbatches meet (`meetings`).
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


@polled_sigint()
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
        the limit. without: methods of `sim.search.settings.methods` not to use: longer-periods
        (more than one microbatch per period), or of these dispatch, climb, period-solver;
        slot-grid.

    Raises ValueError for a limit that not even one microbatch meets, naming the smallest that can.
    """
    most = microbatches_per_period
    if most is not None and (isinstance(most, bool) or most < 1):
        raise ValueError(f"microbatches_per_period is {most!r}: it must be a whole number >= 1")
    problem, tick = problem_of(
        placement, costs, memory_limit=memory_limit, memory_bytes=memory_bytes
    )
    most = _held(problem) if most is None else most
    run = RunOptions(effort or Effort(), seed, workers, left_out(without))
    if not run.use("longer-periods"):
        most = 1
    floor = max(Fraction(work_bound(problem)), memory_bound(problem))
    _compile(problem)  # once per machine, not out of the caller's time
    if chain_length(problem) == 0:
        return _instant(problem)
    bracket = Bracket(problem, floor, run.effort.now() + max(time_limit, 0), run)
    if warm_start is not None:
        _offer_block(bracket, warm_start, tick)
    if problem.limit is None:
        _without_limit(bracket)
    else:
        _within_limit(bracket, most)
    check_layout(problem, bracket.layout, bracket.scale)
    return _block_of(bracket, tick, most)


def layout_of(block: ComputedBlock, tick: Fraction) -> tuple[Layout, int]:
    """The layout of a block, in ticks / scale, and the scale."""
    tables = zip(KINDS, (block.forward, block.backward, block.weight), strict=False)
    start = {
        Op(kind, s, i): exact(time) / tick
        for kind, table in tables
        for i, row in enumerate(table)
        for s, time in enumerate(row)
    }
    period = exact(block.period) / tick
    scale = math.lcm(period.denominator, *(time.denominator for time in start.values()))
    whole = {op: int(time * scale) for op, time in start.items()}
    return Layout(int(period * scale), block.n_microbatches, whole), scale


def _block_of(bracket: Bracket, tick: Fraction, most: int) -> ComputedBlock:
    layout, unit = bracket.layout, tick / bracket.scale
    interval = plain(bracket.best * tick)
    bound = plain(min(bracket.bound, bracket.best) * tick)

    def times(kind: Kind) -> Times:
        stages = range(bracket.problem.n_stages)
        return tuple(
            tuple(plain(layout.start[Op(kind, s, i)] * unit) for s in stages)
            for i in range(layout.n)
        )

    return ComputedBlock(
        bracket.problem.placement,
        times("F"),
        times("B"),
        times("W"),
        plain(layout.period * unit),
        interval,
        bound,
        plain(bracket.floor * tick),
        bound == interval,
        bracket.method,
        most,
    )


def _held(problem: BlockProblem) -> int:
    """How many microbatches every device can hold, between 2 and `budget.MOST_PER_PERIOD`."""
    if problem.limit is None:
        return 2
    shares = [
        limit // (sum(problem.kept[s] for s in stages) or limit or 1)
        for limit, stages in zip(problem.limit, problem.stages_of, strict=True)
    ]
    return min(max(2, min(shares)), budget.MOST_PER_PERIOD)


def _instant(problem: BlockProblem) -> ComputedBlock:
    """Nothing takes any time: everything happens at once."""
    rows = ((0,) * problem.n_stages,)
    return ComputedBlock(
        problem.placement, rows, rows, rows, 0, 0, 0, 0, True, "no pass takes time"
    )


def _within_limit(bracket: Bracket, most: int) -> None:
    """What arithmetic gives, then one microbatch per period, then up to `most`."""
    if bracket.run.use("slot-grid"):
        ranking = ranked_grids(bracket.problem, most, bracket.run.effort)
        for found in offered(ranking) if ranking else ():
            if found.interval < bracket.best:
                bracket.offer_order(found.order, "slot grid")
        if ranking and bracket.run.use("climb") and most > 1 and bracket.open:
            _move_weights(bracket, ranking)
    name, decide = decider_name(bracket.problem), decider(bracket)
    bracket.bound = max(bracket.floor, meeting_bound(bracket.problem, 1))
    end = bracket.deadline
    if most > 1:
        bracket.deadline = bracket.after(budget.ONE_PER_PERIOD)
    narrow(bracket, decide, 1, METHOD[name], coarse=name != "straight")
    bracket.deadline = end
    if most == 1 and name == "v" and bracket.open:
        last_digit(bracket, by_solver(bracket, 1), 1, METHOD["any"])
    if most > 1 and bracket.best > bracket.floor:
        try_longer_periods(bracket, decide, most)


def _move_weights(bracket: Bracket, ranking: Ranking) -> None:
    found = list(moved_weights(ranking, bracket.after(budget.WEIGHTS), bracket.run.seed))
    if found:
        bracket.offer_order(periodic(*found[-1]), "slot grid with moved W's")


def _without_limit(bracket: Bracket) -> None:
    """The busiest device alone decides; take a layout that does not hold more than it must."""
    problem = bracket.problem
    period, name = work_bound(problem), decider_name(problem)
    if period == 0:
        return
    if name == "straight":
        layout = straight_layout(problem, period)
        if layout is not None:
            bracket.offer(layout, problem, METHOD["straight"])
    elif name == "v" and period <= FINE / 2:
        for factor in (1, 2, 4):
            limit = (2 * factor * problem.n_devices,) * problem.n_devices
            found = by_table(bracket)(replace(problem, limit=limit), period)
            if found.layout is not None:
                bracket.offer(found.layout, problem, METHOD["v"])
                break
    bracket.offer(device_by_device(problem), problem, "one round of passes per device")


def _offer_block(bracket: Bracket, block: ComputedBlock, tick: Fraction) -> None:
    """Start from a known block, if it is one of this problem."""
    if block.placement != bracket.problem.placement:
        raise ValueError(
            f"warm_start is on placement {block.placement}, not {bracket.problem.placement}"
        )
    order = order_of(bracket.problem, *layout_of(block, tick))
    bracket.offer_order(order, block.method)  # of another limit or other times, it is not taken


def _compile(problem: BlockProblem) -> None:
    """Load (or make, the first time on a machine) the machine code of the tables."""
    if decider_name(problem) == "v":
        from .decide_v import v_layout

        four = (1,) * 4
        v_layout(BlockProblem((0, 1, 1, 0), four, four, four, (1, 0, 1), four, (0,) * 4, (4, 4)), 8)
