"""The best schedule that the memory allows, found within a time budget, and how good it can be.

>>> from sim import FAMILIES, Costs
>>> costs = Costs.uniform(FAMILIES["1f1b"](4, 8), forward=1, backward=1, weight=1)
>>> found = search(4, 8, costs, placement="straight", memory_limit=3, time_limit=20)
>>> found.value, found.peak <= 3
(31, True)
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypedDict

from ..costs import Costs
from ..exact import Number, checked, exact, plain
from ..families.family import Clock
from ..ir import Op, Schedule
from ..validate import validate
from .bounds import lower_bound, steady_interval
from .evaluation import evaluate
from .greedy import Found, value
from .improve import Pool, improve
from .middle import Shortened, with_middle, without_middle
from .problem import UNLIMITED, Placement, Problem, problem, stages_on
from .starts import computed_block, starts
from .windows import window

if TYPE_CHECKING:
    from .modulo import ComputedBlock

_BLOCK_SECONDS = 2.0
"""What the smallest interval may still take once the order itself is proven optimal."""
TIP = 350
"""How many passes the solver gets at either end of a long schedule."""
RACES = 8
"""How many orders are tried as the steady state of a long schedule."""
EXACT = 700
"""Up to so many passes the solver is asked about the whole schedule at once."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what is known about it.

    value: time on `clock`. peak: most live activations of any device, in shares. lower_bound: no
    order of these passes on this placement within the limit takes less. gap: value /
    lower_bound - 1 (0.02: 2 % above it). method: what found it, and what improved it. interval: the
    smallest steady-state time per microbatch found under the limit; interval_bound: no repeating
    block of that kind can do with less. seconds: wall time spent.
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
    seed: int = 0,
    workers: int = 2,
    progress: bool = True,
) -> SearchResult:
    """The best order found for split passes (F, B, W) of this pipeline within `time_limit` seconds.

    costs: one entry per stage of the placement: n_devices for "straight", twice as many for "v";
        for "loop" any multiple. memory_limit: live activations a device may hold, in shares;
        memory_bytes: bytes it may hold, static ones included, one number or one per device.
    seed, workers: equal ones try the same things in the same order; how far that gets depends on
        the time. progress: a line on stderr, if stderr is a terminal. Ctrl-C ends the search
        early with what it has.

    Raises ValueError if the costs do not match the placement, or nothing can meet the limit; the
    message then names the smallest limit that can be met.
    """
    began = time.monotonic()
    place = _place(n_devices, n_microbatches, costs, placement)
    if clock not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: it must be 'makespan' or 'longest_stage'")
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers is {workers!r}: it must be a whole number >= 1")
    limits = _Limits(memory_limit=memory_limit, memory_bytes=memory_bytes)
    given = problem(place, n_microbatches, costs, clock=clock, **limits)
    _check_limits(given, costs, memory_limit, memory_bytes)
    plain_order = _one_by_one(place, n_microbatches)
    known = lower_bound(plain_order, costs, clock=clock, **limits)
    run = _Run(
        given,
        plain_order,
        _in_ticks(given, known),
        began + float(checked(time_limit, "time_limit")),
        seed,
        workers,
        _Line(progress and sys.stderr.isatty(), given),
    )
    stopped = False
    try:
        run.everything(placement)
    except KeyboardInterrupt:
        stopped = True
    if run.block is None and not stopped:
        run.block = computed_block(given, seconds=_BLOCK_SECONDS, seed=seed, workers=workers)
    run.line.done()
    return run.result(known, limits, began)


class _Limits(TypedDict):
    memory_limit: Number | None
    memory_bytes: Number | Sequence[Number] | None


@dataclass
class _Run:
    """One search under way."""

    problem: Problem
    one_by_one: Schedule
    bound: int
    until: float
    seed: int
    workers: int
    line: _Line
    pool: Pool = field(init=False)
    block: ComputedBlock | None = None
    tried: list[Found] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(self.problem, self.bound)
        letters = self.problem.letters(self.one_by_one)
        if letters is not None:
            self.pool.add(letters, "one by one")

    def everything(self, placement: Placement) -> None:
        """Starts, then exact windows if it is small, then local search, from small to whole."""
        budget = max(self.until - time.monotonic(), 0.0)
        for found in starts(
            self.problem, placement, seconds=0.4 * budget, seed=self.seed, workers=self.workers
        ):
            if found.block is not None:
                self.block = found.block
            if found.letters is not None:
                self.pool.add(found.letters, found.method)
                self.tried.append(
                    Found(found.letters, value(self.problem, found.letters), found.method)
                )
            self.line.tell(self.pool)
            if self.pool.closed:
                return
        n_ops = 3 * self.problem.n_stages * self.problem.n_microbatches
        left = self.until - time.monotonic()
        if n_ops <= EXACT:
            self._local(time.monotonic() + 0.25 * left, patience=12)
            if not self.pool.closed:
                self._exact(0.6 * (self.until - time.monotonic()))
        else:
            self._tips(0.3 * left)
            self._ends(time.monotonic() + 0.4 * left)
        self._local(self.until, patience=40 if n_ops <= EXACT else 10**9)

    def _local(self, until: float, patience: int) -> None:
        improve(
            self.pool, until=until, workers=self.workers, seed=self.seed, tell=self.line.tell,
            patience=patience,
        )  # fmt: skip

    def _exact(self, seconds: float) -> None:
        """The whole schedule as one window: an optimum with proof, or a bound."""
        if seconds <= 0.1:
            return
        found = window(
            self.problem, self.pool.best.letters, seconds=seconds, workers=self.workers,
            seed=self.seed, bound=self.bound,
        )  # fmt: skip
        self.pool.add(found.letters, "solver")
        self.pool.bound = max(self.pool.bound, found.bound)
        self.line.tell(self.pool)

    def _tips(self, seconds: float) -> None:
        """Give the last and the first passes of the best orders of two origins to the solver."""
        q = self.problem
        best: dict[str, Found] = {}
        for entry in sorted(self.tried, key=lambda entry: entry.value):
            best.setdefault(entry.method, entry)
        chosen = list(best.values())[:2]
        n_ops = 3 * q.n_stages * q.n_microbatches
        for entry in chosen:
            letters, worth = entry.letters, entry.value
            width = max(1, worth * TIP // n_ops)
            for low, high, share in ((worth - width, UNLIMITED, 0.7), (0, width, 0.3)):
                if self.pool.closed:
                    return
                found = window(
                    q, letters, low=low, high=high, seconds=share * seconds / len(chosen),
                    workers=self.workers, seed=self.seed, bound=self.bound,
                )  # fmt: skip
                letters = found.letters
            if found.value < worth:
                self.pool.add(letters, _and(entry.method, "windows"))
                self.tried.append(Found(letters, found.value, _and(entry.method, "windows")))
            self.line.tell(self.pool)

    def _ends(self, until: float) -> None:
        """Improve warm-up and cool-down of many orders without most of their steady state.

        All get a little time, the better half of them more, and so on: which steady state allows
        the best ends shows only then.
        """
        q = self.problem
        keep = q.n_devices + q.n_devices // 2 + 3
        races = []
        for entry in sorted(self.tried, key=lambda entry: entry.value):
            short = without_middle(q, entry.letters, keep)
            if short is not None and short.problem.n_microbatches <= 0.8 * q.n_microbatches:
                ends = Pool(short.problem, 0, low=short.low, high=short.high)
                ends.add(short.letters, entry.method)
                races.append((entry, short, ends))
            if len(races) == RACES:
                break
        while races and not self.pool.closed:
            left = until - time.monotonic()
            last = len(races) == 1
            share = left if last else left / (2 * len(races))
            if left < 0.2:
                return
            scores = []
            for position, (entry, short, ends) in enumerate(races):
                improve(
                    ends, until=time.monotonic() + share, workers=self.workers,
                    seed=self.seed + position, tell=self._tell_ends(entry, short),
                )  # fmt: skip
                found = with_middle(short, ends.best.letters)
                scores.append((value(q, found), position))
                if self.pool.closed:
                    return
            if last:
                return
            races = [races[position] for _, position in sorted(scores)[: (len(races) + 1) // 2]]

    def _tell_ends(self, entry: Found, short: Shortened) -> Callable[[Pool], None]:
        def tell(ends: Pool) -> None:
            self.pool.add(with_middle(short, ends.best.letters), _and(entry.method, "ends"))
            ends.bound = 10**18 if self.pool.closed else 0
            self.line.tell(self.pool)

        return tell

    def result(self, known: Number, limits: _Limits, began: float) -> SearchResult:
        """The best order, judged with the costs themselves and played once by the engine."""
        from ..engine import simulate
        from ..metrics import longest_stage, makespan

        q, best = self.problem, self.pool.best
        schedule = q.schedule(best.letters, f"search ({best.method})")
        validate(schedule)
        found = evaluate(schedule, q.costs)
        trace = simulate(schedule, q.costs)
        if (makespan(trace), longest_stage(trace)) != (found.makespan, found.longest_stage):
            raise AssertionError(f"engine and evaluator differ on {schedule.name}")
        value = found.makespan if q.clock == "makespan" else found.longest_stage
        solver = q.in_units(self.pool.bound) if q.ticks.per_unit else 0
        bound = min(max(known, solver), value)
        interval, floor = self._interval(found.longest_stage, limits)
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
            seconds=time.monotonic() - began,
        )

    def _interval(self, longest_stage: Number, limits: _Limits) -> tuple[Number, Number]:
        """The smallest interval known, and what none can be below.

        The whole schedule, repeated as soon as its busiest device is done with it, is a block too.
        """
        whole = plain(exact(longest_stage) / self.problem.n_microbatches)
        floor = steady_interval(self.one_by_one, self.problem.costs, **limits)
        block = self.block
        if block is None or whole < block.interval:
            known = floor if block is None else block.floor
            return (float(whole) if isinstance(whole, Fraction) else whole), min(known, whole)
        return block.interval, block.interval_bound


class _Line:
    """One line on stderr that is written over while the search goes on."""

    def __init__(self, shown: bool, problem: Problem) -> None:
        self.shown, self.problem = shown, problem
        self.began = time.monotonic()

    def tell(self, pool: Pool) -> None:
        if not self.shown or not pool.entries:
            return
        best, bound = (float(self.problem.in_units(x)) for x in (pool.best.value, pool.bound))
        gap = 100 * (best / bound - 1) if bound else 0.0
        seconds = time.monotonic() - self.began
        text = f"search {seconds:3.0f} s: best {best:g}, bound {bound:g}, gap {gap:.1f} %"
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self.shown:
            print(file=sys.stderr)


def _and(method: str, more: str) -> str:
    return method if method.endswith(more) else f"{method} + {more}"


def _place(
    n_devices: int, n_microbatches: int, costs: Costs, placement: Placement
) -> tuple[int, ...]:
    for name, number in {"n_devices": n_devices, "n_microbatches": n_microbatches}.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} is {number!r}: it must be a whole number >= 1")
    chunks = max(1, costs.n_stages // n_devices) if placement == "loop" else 2
    place = stages_on(n_devices, placement, chunks)
    if costs.n_stages != len(place):
        raise ValueError(
            f"costs describe {costs.n_stages} stages, but {placement} placement on {n_devices} "
            f"devices has {len(place)}"
        )
    return place


def _one_by_one(place: tuple[int, ...], m: int) -> Schedule:
    """One microbatch after the other: no order needs less memory."""
    orders: list[list[Op]] = [[] for _ in range(max(place) + 1)]
    stages = range(len(place))
    for i in range(m):
        for s in stages:
            orders[place[s]].append(Op("F", s, i))
        for s in stages[::-1]:
            orders[place[s]] += [Op("B", s, i), Op("W", s, i)]
    return Schedule(place, tuple(map(tuple, orders)), m, name="one by one")


def _check_limits(
    given: Problem,
    costs: Costs,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> None:
    """ValueError with the smallest limit that can be met, if this one cannot."""
    if shares is not None and (given.limits[0] < given.chunks).any():
        raise ValueError(
            f"nothing fits into a memory limit of {shares} shares: the smallest that can be met is "
            "1, one microbatch at a time"
        )
    if size is None:
        return
    needed = evaluate(_one_by_one(given.placement, 1), costs).peak_bytes
    room = list(size) if isinstance(size, Sequence) else [size] * given.n_devices
    short = [d for d, (need, have) in enumerate(zip(needed, room, strict=True)) if need > have]
    if short:
        worst = max(short, key=lambda d: needed[d])
        raise ValueError(
            f"nothing fits into a memory limit of {room[worst]} bytes: device {worst} holds "
            f"{needed[worst]} even with one microbatch at a time, so that is the smallest that can "
            "be met"
        )


def _in_ticks(given: Problem, bound: Number) -> int:
    """A bound in ticks of the problem, rounded so that it stays one; 0 where ticks are rounded."""
    return math.floor(float(bound) * given.scale + 1e-6) if given.ticks.per_unit else 0
