"""A search with levers from question to answer: bound, look at orders alone, race, judgement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...base.interrupts import polled_sigint
from ...base.numbers import Number
from ...base.progress import bar
from ...bounds.lever_bound import bound_with_levers, interval_with_levers
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..evaluation import evaluate
from ..orders.problem import one_by_one
from ..orders.replay import within
from ..phases import Phases
from ..placement import Placement
from ..result import SearchResult, gap_text, judged
from ..settings import budget
from ..settings.compile_time import COMPILE_TIME, told_of_compiling
from ..settings.effort import PASSES_PER_SECOND
from ..settings.run_options import RunOptions
from .pool import LeverPool, let_go
from .problem import LeverProblem, lever_problem
from .race import LeverRace, fits_at_all, one_at_a_time
from .written import schedule_of

AMPLE = 0.004
"""Orders alone that come so near to what no lever can beat have memory enough."""


@dataclass(frozen=True)
class Asked:
    """A search with levers: where stages live, what passes cost, and how it is run."""

    place: tuple[int, ...]
    n_microbatches: int
    costs: Costs
    placement: Placement
    clock: Clock
    levers: tuple[str, ...]
    run: RunOptions
    progress: bool


def search_levers(
    asked: Asked,
    alone: Callable[[float], SearchResult],
    *,
    seconds: float,
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> SearchResult:
    """The best order and levers found; alone: the search over orders alone, with so many seconds,
    or with all moves.

    First comes a look at orders alone, then plans. Where orders alone are as good as if there was
    no limit, or no plan is better, `alone` is asked: so where levers do not pay, as many moves with
    them are never worse than without, as what came before is not taken from them.

    Raises ValueError if nothing can meet the limit, with the smallest that can be met.
    """
    began, run = COMPILE_TIME.clock(), asked.run
    limits: dict[str, Any] = {"memory_limit": memory_limit, "memory_bytes": memory_bytes}
    if memory_limit is None and memory_bytes is None:
        return alone(seconds)
    q = lever_problem(
        asked.place, asked.n_microbatches, asked.costs, levers=asked.levers, clock=asked.clock,
        **limits,
    )  # fmt: skip
    plain = one_by_one(asked.place, asked.n_microbatches)
    if not fits_at_all(q, plain):
        raise ValueError(_too_small(q, plain, asked, memory_limit, memory_bytes))
    bound = bound_with_levers(
        plain, asked.costs, levers=asked.levers, clock=asked.clock, **limits,
    )  # fmt: skip
    ticks = math.floor(float(bound) * q.orders.scale + 1e-6) if q.orders.ticks.per_unit else 0
    until = run.effort.now() + seconds
    interrupted = False
    race: LeverRace | None = None
    with (
        polled_sigint() as ctrl_c,
        bar("search", seconds, shown=asked.progress, alone=True) as move,
        told_of_compiling(move),
    ):

        def tell(pool: LeverPool) -> None:
            if move is not None and pool.entries:
                best = float(q.orders.in_units(pool.best.value))
                move(
                    seconds - until + run.effort.now(),
                    f"best {best:g}, bound {float(bound):g}, {gap_text(best, float(bound))}",
                )

        race = LeverRace(q, plain, ticks, until, run, tell)
        try:
            look = _look(q, plain, ticks, budget.LOOK * seconds, asked)
            ample = look is not None and look.pool.best.value <= (1 + AMPLE) * ticks
            for entry in look.pool.entries if look else ():
                race.pool.add(q.kept(entry.order), entry.method)
            if not ample:
                race.try_plans(asked.placement)
                if race.pays:
                    race.improve()
        except KeyboardInterrupt:
            interrupted = True
        for method, pulled in one_at_a_time(q, plain):
            race.pool.add(pulled, method)
        interrupted, ctrl_c.came = interrupted or ctrl_c.came, False
    found = _answer(race, asked, bound, limits, began)
    if not interrupted and not race.pays and not found.proven_optimal:
        found = _better(found, alone(max(until - run.effort.now(), 0.0)), began)
    return replace(found, interrupted=found.interrupted or interrupted)


def _better(found: SearchResult, other: SearchResult, began: float) -> SearchResult:
    """The better of two answers, `other` one without levers; what is known with levers holds."""
    if other.value > found.value:
        return replace(found, moves=other.moves, interrupted=other.interrupted)
    bound = min(found.lower_bound, other.value)
    return replace(
        other,
        lower_bound=bound,
        gap=float(other.value / bound - 1) if bound else 0.0,
        proven_optimal=bound >= other.value,
        interval_bound=min(found.interval_bound, other.interval),
        seconds=COMPILE_TIME.clock() - began,
        moves=found.moves + other.moves,
    )


def _look(
    q: LeverProblem, plain: Schedule, ticks: int, seconds: float, asked: Asked
) -> Phases | None:
    """Orders alone for a short time; None where none fits."""
    start = q.orders.order(plain)
    if start is None or not within(q.orders, start):
        return None
    until = asked.run.effort.now() + seconds
    phases = Phases(q.orders, plain, ticks, until, asked.run)
    phases.everything(asked.placement)
    return phases


def _answer(
    race: LeverRace, asked: Asked, bound: Number, limits: Mapping[str, Any], began: float
) -> SearchResult:
    """The best without levers that do nothing, judged by the costs themselves and the engine."""
    q, best = race.problem, race.pool.best
    pulled = let_go(q, best.pulled)
    schedule = schedule_of(asked.place, pulled, f"search ({best.method})")
    found = judged(schedule, asked.costs)
    value = found.makespan if asked.clock == "makespan" else found.longest_stage
    floor = interval_with_levers(
        race.one_by_one, asked.costs, levers=asked.levers, **limits,
    )  # fmt: skip
    interval = found.longest_stage / asked.n_microbatches
    known = min(bound, value)
    return SearchResult(
        schedule=schedule,
        clock=asked.clock,
        value=value,
        makespan=found.makespan,
        longest_stage=found.longest_stage,
        peak=max(found.peak_activations),
        lower_bound=known,
        gap=float(value / known - 1) if known else 0.0,
        method=best.method,
        proven_optimal=known >= value,
        interval=interval,
        interval_bound=min(floor, interval),
        seconds=COMPILE_TIME.clock() - began,
        moves=round(asked.run.effort.spent * PASSES_PER_SECOND),
    )


def _too_small(
    q: LeverProblem,
    plain: Schedule,
    asked: Asked,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> str:
    """The sentence about a limit into which nothing fits: what one microbatch at a time needs, with
    the levers that help most."""
    names = " and ".join(asked.levers)
    found = [
        evaluate(schedule_of(asked.place, pulled, "one by one"), asked.costs)
        for _, pulled in one_at_a_time(q, plain)
    ]
    if size is None:
        least = min(float(max(one.peak_activations)) for one in found)
        return (
            f"nothing fits into a memory limit of {shares} shares, not even with {names}: the "
            f"smallest that can be met is {least:g}, one microbatch at a time"
        )
    n = max(asked.place) + 1
    room = [float(x) for x in (size if isinstance(size, Sequence) else [size] * n)]
    over = [
        max((float(peak) - room[d], d, float(peak)) for d, peak in enumerate(one.peak_bytes))
        for one in found
    ]
    _, device, least = min(over)
    return (
        f"nothing fits into a memory limit of {room[device]:g} bytes, not even with {names}: "
        f"device {device} holds {least:g} with one microbatch at a time, so that is the smallest "
        "that can be met"
    )
