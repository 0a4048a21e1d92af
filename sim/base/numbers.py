"""Exact arithmetic on the numbers people type: 0.1 means one tenth, and a third stays a third.

Times are counted in whole **ticks** wherever a common one exists, so whole-number costs give
whole-number times and formulas hold with `==`. Numbers without a common tick of reasonable size
(seventeen measured digits, random jitter) are counted in floating point instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any, TypeVar

Number = int | float | Fraction
T = TypeVar("T")
LARGEST = 2**53
"""Beyond this many ticks a float no longer holds every whole number."""


def exact(number: Number) -> Fraction:
    """The rational number that was meant: a float means its shortest decimal form."""
    return Fraction(repr(float(number))) if isinstance(number, float) else Fraction(number)


def plain(number: Fraction) -> Number:
    """The simplest number equal to `number`: an int, a float that `exact` reads back, or itself."""
    if number.denominator == 1:
        return number.numerator
    near = float(number)
    return near if exact(near) == number else number


def scaled(number: Number, factor: Number) -> Number:
    """The exact product: a third of 0.3 is 0.1."""
    return number if factor == 1 else plain(exact(number) * exact(factor))


def plus(one: Number, other: Number) -> Number:
    """The exact sum: 0.1 and 0.2 make 0.3."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return plain(exact(one) + exact(other))


def native(number: Any) -> Any:
    """The Python number that a numpy one equals; whatever is no numpy number as it is."""
    return number.item() if hasattr(number, "item") else number


def checked_whole(number: object, name: str, *, least: int = 1) -> int:
    """`number`, of Python or of numpy, as an int; ValueError naming it if it is not one."""
    if isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= least:
        return int(number)
    raise ValueError(f"{name} is {number!r}: it must be a whole number >= {least}")


def checked_type(found: object, kind: type[T], fix: str) -> T:
    """`found` if it is a `kind`; ValueError that says how to come by one if it is not."""
    if isinstance(found, kind):
        return found
    short = found is None or isinstance(found, (str, int, float))
    got = repr(found) if short else f"a {type(found).__name__}"
    raise ValueError(f"expected a {kind.__name__}, got {got}: {fix}")


def checked(number: object, name: str, *, signed: bool = False) -> Number:
    """`number` if it is finite and, unless `signed`, not negative; ValueError naming it if not."""
    if hasattr(number, "item") and getattr(number, "size", 1) == 1:  # a numpy scalar
        number = number.item()
    if isinstance(number, bool) or not isinstance(number, (int, float, Fraction)):
        raise ValueError(f"{name} is {number!r}: it must be a number")
    try:
        float(number)
    except OverflowError:
        raise ValueError(f"{name} has over 300 digits: it must fit a float") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}: it must be finite")
    if number < 0 and not signed:
        raise ValueError(f"{name} is {number}: it must not be negative")
    # So that a fifth equals 0.2, however it was typed.
    return plain(number) if isinstance(number, Fraction) else number


@dataclass(frozen=True)
class Ticks:
    """How many ticks make one unit of time; 0 stands for floating point."""

    per_unit: int

    def count(self, time: Number) -> int | float:
        """`time` in ticks."""
        if not self.per_unit:
            return float(time)
        ticks = exact(time) * self.per_unit
        return ticks.numerator if ticks.denominator == 1 else float(ticks)

    def time(self, ticks: Number) -> Number:
        """What `count` counted, in units of time; whole times come back as `int`."""
        if not self.per_unit or self.per_unit == 1:
            return ticks
        whole, rest = divmod(ticks, self.per_unit)
        return whole if rest == 0 else ticks / self.per_unit


def common_ticks(times: Iterable[Number], *, how_many: int = 1) -> Ticks:
    """The fewest ticks per unit in which all `times` are whole; floating point where `how_many` of
    them could add up to more than `LARGEST`."""
    distinct = {exact(time) for time in set(times)}
    per_unit = math.lcm(*(time.denominator for time in distinct))
    largest = max(distinct, default=Fraction(0)) * per_unit * max(how_many, 1)
    return Ticks(per_unit if largest <= LARGEST and per_unit <= LARGEST else 0)
