"""What a search answers: a schedule, judged by its costs and played once by the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..base.numbers import Number
from ..engine.costs import Costs
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from ..schedule.validate import validate
from .evaluation import Evaluation, evaluate


class Wobble(NamedTuple):
    """jitter: standard deviation of the logarithm of a pass's random factor. quantile: 0 to 1."""

    jitter: float
    quantile: float


class Steady(NamedTuple):
    """What one schedule takes: with the times as they are, and at the quantile of varying ones.

    low, high: the quantile is between them with 95 % certainty, as far as the draws can tell.
    """

    name: str
    nominal: float
    quantile: float
    low: float
    high: float


class Steadiness(NamedTuple):
    """Schedules under times that vary, on the search's clock, all on the same fresh draws.

    found: what the search found. nominal_best: the best for the times as they are. families: the
    named ones of this placement that keep the limits.
    """

    wobble: Wobble
    draws: int
    found: Steady
    nominal_best: Steady
    families: tuple[Steady, ...]


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what is known about it.

    value: time on `clock`. peak: most live activations of any device, in shares. lower_bound: no
    order of these passes on this placement within the limit takes less. gap: value /
    lower_bound - 1 (0.02: 2 % above it). method: what found it, and what improved it. interval: the
    smallest steady-state time per microbatch found under the limit; interval_bound: no repeating
    block of that kind can do with less. seconds: wall time spent, without that for which numba
    compiled the search, as it does once on a machine. interrupted: Ctrl-C ended it.
    moves: counted work, in passes played. sequence: the microbatches in the order in which they are
    to be fed: microbatch i of `schedule` is the one that the costs call `sequence[i]`. steadiness:
    what it takes under times that vary, where that was asked.
    """

    schedule: Schedule
    clock: Clock
    value: Number
    makespan: Number
    longest_stage: Number
    peak: Number
    lower_bound: Number
    gap: float
    method: str
    proven_optimal: bool
    interval: Number
    interval_bound: Number
    seconds: float
    interrupted: bool = False
    moves: int = 0
    sequence: tuple[int, ...] = ()
    steadiness: Steadiness | None = None


def gap_text(value: float, bound: float) -> str:
    """How far a value is above its bound, as progress tells it."""
    return f"gap {value / bound - 1 if bound else 0.0:.1%}"


def judged(schedule: Schedule, costs: Costs) -> Evaluation:
    """The schedule validated, evaluated, and replayed by the engine, which must agree."""
    from ..engine.simulate import simulate
    from ..metrics.metrics import longest_stage, makespan

    validate(schedule)
    found = evaluate(schedule, costs)
    trace = simulate(schedule, costs)
    if (makespan(trace), longest_stage(trace)) != (found.makespan, found.longest_stage):
        raise AssertionError(f"engine and evaluator differ on {schedule.name}")
    return found
