"""The best schedule that the memory allows, found within a time budget, and how good it can be.

>>> from sim import FAMILIES, Costs
>>> costs = Costs.uniform(FAMILIES["1f1b"](4, 8), forward=1, backward=1, weight=1)
>>> found = search(4, 8, costs, placement="straight", memory_limit=3, moves=5_000_000)
>>> found.value, found.peak <= 3
(31, True)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TypedDict, get_args

from ..base.interrupts import polled_sigint
from ..base.numbers import Number, checked, checked_whole, exact, plain
from ..base.progress import bar
from ..bounds.lower_bound import lower_bound, steady_interval
from ..engine.costs import Costs
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from .levers.answer import Asked, search_levers
from .levers.host import Host, with_host
from .levers.problem import checked_levers
from .orders.pool import Pool
from .orders.problem import OrderProblem, one_by_one, order_problem
from .orders.sequence import MicrobatchOrder, by_size
from .phases import Phases
from .placement import Placement, stages_on
from .result import SearchResult, gap_text, judged
from .settings import budget
from .settings.compile_time import COMPILE_TIME, told_of_compiling
from .settings.effort import PASSES_PER_SECOND, Effort
from .settings.methods import left_out
from .settings.run_options import RunOptions
from .starts import computed_block
from .steady import checked_wobble, steady_order
from .warm_start import warm_start


def search(
    n_devices: int,
    n_microbatches: int,
    costs: Costs,
    *,
    placement: Placement = "v",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    clock: Clock = "makespan",
    time_limit: float = 30.0,
    moves: int | None = None,
    without: Iterable[str] = (),
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
    microbatch_order: MicrobatchOrder = "free",
    jitter: float = 0.0,
    quantile: float = 0.9,
    levers: Iterable[str] = (),
    host: Host | None = None,
    start: Schedule | None = None,
) -> SearchResult:
    """The best order found for split passes (F, B, W) of this pipeline within `time_limit` seconds.

    costs: one entry per stage of the placement: n_devices for "straight", twice as many for "v";
        for "loop" any multiple. memory_limit: live activations a device may hold, in shares;
        memory_bytes: bytes it may hold, static ones included, one number or one per device.
    moves: instead of seconds, how much work to do: about so many passes are played, 25 million of
        them for a second. Then equal seeds and workers give equal results on every machine.
    without: names of methods not to use, see `sim.search.settings.methods`.
    seed, workers: equal ones try the same things in the same order; how far that gets depends on
        the time. progress: a line on stderr, if stderr is a terminal. Ctrl-C ends the search
        early with what it has.
    microbatch_order: where microbatches cost unequally, whether their sequence is searched, too
        ("free"), or is as "given", or the "longest-first". Bounds hold for any.
    jitter: standard deviation of the logarithm of a random factor on every pass. With one, the
        order with the smallest `quantile` of the clock is looked for, and `steadiness` says what it
        and the named families take; value, bound and gap stay those of the times as they are.
    levers: "recompute" and "offload", what may be done about the activations of any microbatch on
        any stage to save memory, where that pays. host: how fast copies are, for offload; without
        it, what the costs say.
    start: an earlier schedule of F, B and W on this placement within the limits, to go on from; the
        answer is never worse on the clock than it, however small the budget.

    Raises ValueError if the costs do not match the placement, or nothing can meet the limit; the
    message then names the smallest limit that can be met. Also for a start of something else.
    """
    began = COMPILE_TIME.clock()
    effort, seconds = _budget(time_limit, moves)
    until = effort.now() + seconds
    run = RunOptions(effort, seed, checked_whole(workers, "workers"), left_out(without))
    n_microbatches = checked_whole(n_microbatches, "n_microbatches")
    place = _place(checked_whole(n_devices, "n_devices"), costs, placement)
    if clock not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: it must be 'makespan' or 'longest_stage'")
    limits = _Limits(memory_limit=memory_limit, memory_bytes=memory_bytes)
    if chosen := checked_levers(levers, host is not None or costs.offload is not None):
        if costs.microbatch_scale:
            raise ValueError("levers take all microbatches for alike: leave microbatch_scale out")
        if jitter:
            raise ValueError("levers are searched for times as they are: leave jitter out")
        if start is not None:
            raise ValueError("a search with levers takes no start: leave start or levers out")
        if host is not None:
            costs = with_host(costs, host, place)
        asked = Asked(place, n_microbatches, costs, placement, clock, chosen, run, progress)

        def alone(left: float) -> SearchResult:
            return search(
                n_devices, n_microbatches, costs, placement=placement, clock=clock,
                time_limit=left, moves=moves, without=without, seed=seed, workers=workers,
                progress=progress, **limits,
            )  # fmt: skip

        return search_levers(asked, alone, seconds=seconds, **limits)
    if microbatch_order not in get_args(MicrobatchOrder):
        raise ValueError(
            f"microbatch_order is {microbatch_order!r}: use one of "
            + ", ".join(get_args(MicrobatchOrder))
        )
    wobble = checked_wobble(jitter, quantile)
    interrupted, steadiness = False, None
    with (
        polled_sigint() as ctrl_c,
        bar("search", seconds, shown=progress, alone=True) as move,
        told_of_compiling(move),
    ):
        problem = order_problem(place, n_microbatches, costs, clock=clock, **limits)
        if microbatch_order == "longest-first":
            problem = problem.in_sequence(by_size(problem)["longest-first"])
        plain_order = one_by_one(place, n_microbatches)
        known = lower_bound(plain_order, costs, clock=clock, **limits)

        def tell(pool: Pool) -> None:
            if move is not None and pool.entries:
                move(seconds - until + effort.now(), _how_far(pool))

        calm_until = until if wobble is None else until - budget.STEADY * seconds
        phases = Phases(problem, plain_order, _in_ticks(problem, known), calm_until, run, tell)
        phases.warm_start = None if start is None else warm_start(problem, start)
        phases.resequence = microbatch_order == "free" and not problem.alike
        try:
            phases.everything(placement)
            if wobble is not None:
                steadiness = steady_order(phases, placement, wobble, until=until)
            if phases.block is None and problem.alike:
                phases.block = computed_block(problem, seconds=budget.BLOCK_AFTERWARDS, run=run)
        except KeyboardInterrupt:
            interrupted = True
        result = _result(phases, known, limits, began)
        interrupted, ctrl_c.came = interrupted or ctrl_c.came, False
    return replace(result, interrupted=interrupted, steadiness=steadiness)


def _how_far(pool: Pool) -> str:
    best, bound = (float(pool.problem.in_units(x)) for x in (pool.best.value, pool.bound))
    return f"best {best:g}, bound {bound:g}, {gap_text(best, bound)}"


def _budget(time_limit: float, moves: int | None) -> tuple[Effort, float]:
    """The clock to go by, and how many of its seconds there are."""
    if moves is None:
        return Effort(), float(checked(time_limit, "time_limit"))
    return Effort(counted=True), checked_whole(moves, "moves", least=0) / PASSES_PER_SECOND


class _Limits(TypedDict):
    memory_limit: Number | None
    memory_bytes: Number | Sequence[Number] | None


def _result(phases: Phases, known: Number, limits: _Limits, began: float) -> SearchResult:
    """The best order, judged with the costs themselves and played once by the engine."""
    q, best = phases.problem, phases.pool.best
    schedule = q.schedule(best.order, f"search ({best.method})")
    found = judged(schedule, q.costs_in_turn)
    value = found.makespan if q.clock == "makespan" else found.longest_stage
    solver = q.in_units(phases.pool.bound) if q.ticks.per_unit else 0
    bound = min(max(known, solver), value)
    interval, floor = _interval(phases, found.longest_stage, limits)
    return SearchResult(
        schedule=schedule,
        clock=q.clock,
        value=value,
        makespan=found.makespan,
        longest_stage=found.longest_stage,
        peak=max(found.peak_activations),
        lower_bound=bound,
        gap=float(value / bound - 1) if bound else 0.0,
        method=best.method,
        proven_optimal=bound >= value,
        interval=interval,
        interval_bound=floor,
        seconds=COMPILE_TIME.clock() - began,
        moves=round(phases.run.effort.spent * PASSES_PER_SECOND),
        sequence=q.sequence,
    )


def _interval(phases: Phases, longest_stage: Number, limits: _Limits) -> tuple[Number, Number]:
    """The smallest interval known, and what none can be below.

    The whole schedule, repeated as soon as its busiest device is done with it, is a block too.
    """
    whole = plain(exact(longest_stage) / phases.problem.n_microbatches)
    floor = steady_interval(phases.one_by_one, phases.problem.costs, **limits)
    block = phases.block
    if block is None or whole < block.interval:
        known = floor if block is None else block.floor
        return (float(whole) if isinstance(whole, Fraction) else whole), min(known, whole)
    return block.interval, block.interval_bound


def _place(n_devices: int, costs: Costs, placement: Placement) -> tuple[int, ...]:
    chunks = max(1, costs.n_stages // n_devices) if placement == "loop" else 2
    place = stages_on(n_devices, placement, chunks)
    if costs.n_stages != len(place):
        raise ValueError(
            f"costs describe {costs.n_stages} stages, but {placement} placement on {n_devices} "
            f"devices has {len(place)}"
        )
    return place


def _in_ticks(problem: OrderProblem, bound: Number) -> int:
    """A bound in ticks of the problem, rounded so that it stays one; 0 where ticks are rounded."""
    return math.floor(float(bound) * problem.scale + 1e-6) if problem.ticks.per_unit else 0
