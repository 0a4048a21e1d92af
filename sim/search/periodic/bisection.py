"""Narrows the period of a layout from both sides: shorter layouts from above, proofs from below."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

from ..effort import Effort
from .layout import Broken, Turn, checked_layout, rounds, tightened
from .problem import Answer, Layout, Problem, alone, chain_length, rescaled

FINE = 400
"""Ticks per period beyond which the first looks are taken in coarser ticks."""
PER_OFFERED_PASS = 100
"""Work of taking an order, in played passes for each pass of its period."""


@dataclass
class Search:
    """The state of one search: the best layout so far (in ticks / scale) and the proven bound.

    best, bound: ticks per microbatch. deadline: a moment of `effort`.
    """

    problem: Problem
    bound: Fraction
    deadline: float
    workers: int = 1
    seed: int = 0
    effort: Effort = field(default_factory=Effort)
    floor: Fraction = field(init=False)
    layout: Layout = field(init=False)
    scale: int = 1
    best: Fraction = field(init=False)
    method: str = "one microbatch at a time"

    def __post_init__(self) -> None:
        self.floor = self.bound
        self.layout = alone(self.problem)
        self.best = Fraction(self.layout.period)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.effort.now()

    @property
    def open(self) -> bool:
        """Whether there is something left to find or prove, and time for it."""
        return self.best > self.bound and self.left > 0

    def offer(self, layout: Layout, problem: Problem, method: str) -> None:
        """Take the order of a layout of `problem`: the same problem in other ticks."""
        self.offer_lines(rounds(problem, layout), layout.n, method)

    def offer_lines(self, lines: list[list[Turn]], n: int, method: str) -> None:
        """Take the order of these rounds, run as fast as it can, if that beats the best.

        Not if passes without length then share an instant where the oldest microbatch cannot go
        first, as it does in `rounds`: it may keep memory that another one frees there.
        """
        self.effort.played(PER_OFFERED_PASS * sum(map(len, lines)))
        with suppress(Broken):
            found, scale = tightened(self.problem, lines, n)
            pace = Fraction(found.period, scale * n)
            if pace < self.best:
                checked_layout(self.problem, found, scale)
                self.layout, self.scale, self.best, self.method = found, scale, pace, method

    def exclude(self, period: Fraction, n: int) -> None:
        """No layout of n microbatches has this period or a smaller one."""
        self.bound = max(self.bound, period / n)


Decide = Callable[[Problem, int], Answer]
"""Is there a layout of this period (in ticks of the problem)?"""


def narrowed(search: Search, decide: Decide, n: int, method: str, *, coarse: bool = True) -> None:
    """Bisect on the period of `n` microbatches until it is proven or the time is up.

    coarse: whether long periods (in ticks) are too much for `decide`, so that it is asked in
    coarser ticks, ever finer ones as long as there is time.
    """
    size = 32
    while coarse and search.open and size < search.bound * n / 2 and search.bound * n > FINE:
        for up in (False, True):
            scale = _good_scale(search, n, size, up=up)
            _level(search, decide, n, scale, method, up=up)
        size *= 2
    if not coarse or search.bound * n <= FINE:
        _level(search, decide, n, Fraction(1), method, up=False)
        last_digit(search, decide, n, method)


def _level(
    search: Search, decide: Decide, n: int, scale: Fraction, method: str, *, up: bool
) -> None:
    """The smallest possible period in ticks x scale: gallop up from the bound, then bisect.

    Layouts of rounded times give orders that are good for the true ones as well. Impossible periods
    are excluded only where times were rounded down (or are exact).
    """
    problem = rescaled(search.problem, scale.numerator, scale.denominator, up=up)
    exact = scale.denominator == 1
    if search.layout.n == n > 1:
        _descend(search, decide, n, problem, scale, method)
        return
    low = max(math.ceil(search.bound * n * scale), 1)
    high = math.ceil(search.best * n * scale)
    failed, step, galloping = low - 1, 1, True
    while failed + 1 < high and search.left > 0:
        period = min(failed + step, high - 1) if galloping else (failed + high) // 2
        layout, proven = decide(problem, period)
        if layout is not None:
            search.offer(layout, problem, method)
            high, galloping = period, False
            if exact:
                high = min(high, math.ceil(search.best * n * scale))
        else:
            if proven and (exact or not up):
                search.exclude(period / scale if exact else Fraction(period // scale), n)
            failed, step = period, step * 2


def _descend(
    search: Search, decide: Decide, n: int, problem: Problem, scale: Fraction, method: str
) -> None:
    """From the best period down in growing steps; back in smaller ones where that fails."""
    exact, step = scale.denominator == 1, 1
    low = max(math.ceil(search.bound * n * scale), 1)
    while search.left > 0 and step > 0:
        high = math.ceil(search.best * n * scale)
        period = max(high - step, low)
        if period >= high:
            return
        layout, proven = decide(problem, period)
        if layout is not None:
            search.offer(layout, problem, method)
            step = step * 2 if math.ceil(search.best * n * scale) < high else step // 2
        else:
            if proven and exact:
                search.exclude(period / scale if exact else Fraction(period // scale), n)
                low = period + 1
            step = step // 2


def last_digit(search: Search, decide: Decide, n: int, method: str) -> None:
    """Close the gap between an excluded whole period and the best one, which may be a fraction.

    The smallest period is length / height of a cycle that meets every pass at most once, so its
    length is at most that of all passes and sends together, and its height at most that over the
    proven bound. Only finitely many fractions have so small a denominator: if the next one below
    the best is impossible, the best is the smallest.
    """
    total = n * chain_length(search.problem)
    while search.open:
        best, low = search.best * n, search.bound * n
        height = max(math.floor(total / low), 1) if low else 1
        below = [Fraction(math.ceil(best * h) - 1, h) for h in range(1, height + 1)]
        below = [period for period in below if period > low]
        if not below:
            search.bound = search.best
            return
        target = max(below)
        steps = [period for period in below if period.denominator in (2, 4, 8) and period < target]
        for period in (*steps, target):
            problem = rescaled(search.problem, period.denominator, 1)
            layout, proven = decide(problem, period.numerator)
            if layout is not None:
                search.offer(layout, problem, method)
                if search.best * n > period:
                    return  # possible, but not with the oldest first
                break
            if not proven:
                return
            search.exclude(period, n)
            if period == target:
                search.bound = search.best
                return


def _good_scale(search: Search, n: int, size: int, *, up: bool) -> Fraction:
    """Near `size` ticks per period, the scale at which rounding changes the times the least."""
    period = search.bound * n
    problem = search.problem
    weights: dict[int, int] = {}
    for times in (problem.forward, problem.backward, problem.weight, problem.send, problem.send):
        for value in times:
            weights[value] = weights.get(value, 0) + 1

    def loss(ticks: int) -> Fraction:
        scale = Fraction(ticks) / period
        rounded = math.ceil if up else math.floor
        changed = sum(
            count * abs(rounded(value * scale) - value * scale) for value, count in weights.items()
        )
        return changed / scale

    return Fraction(min(range(size * 3 // 4, size * 5 // 4 + 1), key=loss)) / period
