"""Narrows the period of a layout from both sides: shorter layouts from above, proofs from below."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..settings.run_options import RunOptions
from . import budget
from .fastest import fastest_layout
from .floors import chain_length
from .layout import Answer, Layout, NoLayout, check_layout, one_at_a_time, order_of
from .problem import BlockProblem, rescaled
from .unroll import PeriodicOrder

FINE = 400
"""Ticks per period beyond which the first looks are taken in coarser ticks."""

Decide = Callable[[BlockProblem, int], Answer]
"""Is there a layout of this period (in ticks of the problem)?"""


@dataclass
class Bracket:
    """What is known about the smallest interval: the best layout so far, and the proven bound.

    floor: what no order can beat; where `bound` starts. bound, best: ticks per microbatch. layout:
    in ticks / scale. deadline: a moment of the clock of `run`.
    """

    problem: BlockProblem
    floor: Fraction
    deadline: float
    run: RunOptions
    bound: Fraction = field(init=False)
    layout: Layout = field(init=False)
    scale: int = field(init=False, default=1)
    best: Fraction = field(init=False)
    method: str = field(init=False, default="one microbatch at a time")

    def __post_init__(self) -> None:
        self.bound = self.floor
        self.layout = one_at_a_time(self.problem)
        self.best = Fraction(self.layout.period)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.run.effort.now()

    def after(self, share: float) -> float:
        """The moment at which this share of the time left is used."""
        return self.run.effort.now() + share * max(self.left, 0)

    @property
    def open(self) -> bool:
        """Whether there is something left to find or prove, and time for it."""
        return self.best > self.bound and self.left > 0

    @property
    def order(self) -> PeriodicOrder:
        """The order of the best layout."""
        return order_of(self.problem, self.layout, self.scale)

    def with_deadline(self, deadline: float) -> Bracket:
        """A new one for the same problem, of which nothing is known."""
        return replace(self, deadline=deadline)

    def offer(self, layout: Layout, problem: BlockProblem, method: str) -> None:
        """Take the order of a layout of `problem`: the same problem in other ticks."""
        self.offer_order(order_of(problem, layout), method)

    def offer_order(self, order: PeriodicOrder, method: str) -> None:
        """Take this order, run as fast as it can, if that beats the best.

        Not if passes without length then share an instant where the oldest microbatch cannot go
        first, as it does in `order_of`: it may keep memory that another one frees there. Nor if the
        devices do not repeat together.
        """
        self.run.effort.played(budget.PLAYS_PER_OFFER * sum(map(len, order.rounds)))
        with suppress(NoLayout):
            layout, scale = fastest_layout(self.problem, order)
            interval = Fraction(layout.period, scale * layout.n)
            if interval < self.best:
                check_layout(self.problem, layout, scale)
                self.layout, self.scale = layout, scale
                self.best, self.method = interval, method

    def take(self, other: Bracket) -> None:
        """Take what another one has found, if it is better."""
        if other.best < self.best:
            self.layout, self.scale = other.layout, other.scale
            self.best, self.method = other.best, other.method

    def exclude(self, period: Fraction, n: int) -> None:
        """No layout of n microbatches has this period or a smaller one."""
        self.bound = max(self.bound, period / n)


def narrow(bracket: Bracket, decide: Decide, n: int, method: str, *, coarse: bool = True) -> None:
    """Bisect on the period of `n` microbatches until it is proven or the time is up.

    coarse: whether long periods (in ticks) are too much for `decide`, so that it is asked in
    coarser ticks, ever finer ones as long as there is time.
    """
    size = 32
    while coarse and bracket.open and size < bracket.bound * n / 2 and bracket.bound * n > FINE:
        for up in (False, True):
            scale = _good_scale(bracket, n, size, up=up)
            _level(bracket, decide, n, scale, method, up=up)
        size *= 2
    if not coarse or bracket.bound * n <= FINE:
        _level(bracket, decide, n, Fraction(1), method, up=False)
        last_digit(bracket, decide, n, method)


def _level(
    bracket: Bracket, decide: Decide, n: int, scale: Fraction, method: str, *, up: bool
) -> None:
    """The smallest possible period in ticks x scale: gallop up from the bound, then bisect.

    Layouts of rounded times give orders that are good for the true ones as well. Impossible periods
    are excluded only where times were rounded down (or are exact).
    """
    problem = rescaled(bracket.problem, scale.numerator, scale.denominator, up=up)
    exact = scale.denominator == 1
    if bracket.layout.n == n > 1:
        _descend(bracket, decide, n, problem, scale, method)
        return
    low = max(math.ceil(bracket.bound * n * scale), 1)
    high = math.ceil(bracket.best * n * scale)
    failed, step, galloping = low - 1, 1, True
    while failed + 1 < high and bracket.left > 0:
        period = min(failed + step, high - 1) if galloping else (failed + high) // 2
        layout, proven = decide(problem, period)
        if layout is not None:
            bracket.offer(layout, problem, method)
            high, galloping = period, False
            if exact:
                high = min(high, math.ceil(bracket.best * n * scale))
        else:
            if proven and (exact or not up):
                bracket.exclude(period / scale if exact else Fraction(period // scale), n)
            failed, step = period, step * 2


def _descend(
    bracket: Bracket, decide: Decide, n: int, problem: BlockProblem, scale: Fraction, method: str
) -> None:
    """From the best period down in growing steps; back in smaller ones where that fails."""
    exact, step = scale.denominator == 1, 1
    low = max(math.ceil(bracket.bound * n * scale), 1)
    while bracket.left > 0 and step > 0:
        high = math.ceil(bracket.best * n * scale)
        period = max(high - step, low)
        if period >= high:
            return
        layout, proven = decide(problem, period)
        if layout is not None:
            bracket.offer(layout, problem, method)
            step = step * 2 if math.ceil(bracket.best * n * scale) < high else step // 2
        else:
            if proven and exact:
                bracket.exclude(period / scale, n)
                low = period + 1
            step = step // 2


def last_digit(bracket: Bracket, decide: Decide, n: int, method: str) -> None:
    """Close the gap between an excluded whole period and the best one, which may be a fraction.

    The smallest period is length / height of a cycle that meets every pass at most once, so its
    length is at most that of all passes and sends together, and its height at most that over the
    proven bound. Only finitely many fractions have so small a denominator: if the next one below
    the best is impossible, the best is the smallest.
    """
    total = n * chain_length(bracket.problem)
    while bracket.open:
        best, low = bracket.best * n, bracket.bound * n
        height = max(math.floor(total / low), 1) if low else 1
        below = [Fraction(math.ceil(best * h) - 1, h) for h in range(1, height + 1)]
        below = [period for period in below if period > low]
        if not below:
            bracket.bound = bracket.best
            return
        target = max(below)
        steps = [period for period in below if period.denominator in (2, 4, 8) and period < target]
        for period in (*steps, target):
            problem = rescaled(bracket.problem, period.denominator, 1)
            layout, proven = decide(problem, period.numerator)
            if layout is not None:
                bracket.offer(layout, problem, method)
                if bracket.best * n > period:
                    return  # possible, but not with the oldest first
                break
            if not proven:
                return
            bracket.exclude(period, n)
            if period == target:
                bracket.bound = bracket.best
                return


def _good_scale(bracket: Bracket, n: int, size: int, *, up: bool) -> Fraction:
    """Near `size` ticks per period, the scale at which rounding changes the times the least."""
    period = bracket.bound * n
    problem = bracket.problem
    send = problem.send * 2  # each is on the way twice
    weights = Counter((*problem.forward, *problem.backward, *problem.weight, *send))

    def loss(ticks: int) -> Fraction:
        scale = Fraction(ticks) / period
        rounded = math.ceil if up else math.floor
        changed = sum(
            count * abs(rounded(value * scale) - value * scale) for value, count in weights.items()
        )
        return changed / scale

    candidates = range(size * 3 // 4, size * 5 // 4 + 1)
    bracket.run.effort.played(budget.PLAYS_PER_ROUNDING * len(weights) * len(candidates))
    return Fraction(min(candidates, key=loss)) / period
