"""What the memory of a device costs in time where levers may be pulled: area against work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

from ..base.numbers import exact
from .workload import Time


class Way(NamedTuple):
    """A way to treat the units of a stage, `unit_area` and times of one of them: compute time on
    top, the mean of its times on the two copy queues, and memory x time."""

    again: Time
    copy: Time
    area: Time


def span_with_levers(work: Time, stages: Sequence[Sequence[Way]], limit: Time) -> Time:
    """The least time of a device per microbatch, however each unit is treated.

    Say a device has n microbatches and V * n passes from the start of its first pass to the end of
    its last one. Whatever is done about each unit, three things fit into that:

        work + sum of again <= V      (it computes one pass at a time)
        sum of copy <= V              (each copy queue takes one copy at a time; the mean of two)
        sum of area <= limit * V      (its memory never holds more than `limit`)

    where sums are over the stages, in the mean over microbatches. For any weights u, w >= 0 with
    limit * u + w <= 1, adding the three with weights 1 - limit * u - w, w and u gives

        V >= (1 - limit u - w) work + sum over stages of the smallest
             (1 - limit u - w) again + w copy + u area over the ways to treat a unit,

    which says nothing any more about who does what. That is the dual of a linear program, so the
    best weights lose nothing but that a unit may not be treated half one way, half another. The
    right side is concave and made of planes; it is largest where two lines meet on which the
    smallest way of a stage changes, or at the border.
    """
    if limit <= 0:
        return work
    best: Time = 0
    for u, w in _corners(stages, exact(limit)):
        rest = 1 - exact(limit) * u - w
        value = rest * exact(work)
        for ways in stages:
            value += min(
                rest * exact(way.again) + w * exact(way.copy) + u * exact(way.area) for way in ways
            )
        best = max(best, value)
    return best


def _corners(
    stages: Sequence[Sequence[Way]], limit: Fraction
) -> Iterator[tuple[Fraction, Fraction]]:
    """Where two of the lines `a u + b w = c` meet inside the triangle of weights."""
    zero, one = Fraction(0), Fraction(1)
    lines = {(one, zero, zero), (zero, one, zero), (limit, one, one)}
    for ways in stages:
        for first, second in combinations(ways, 2):
            again, copy, area = (exact(x) - exact(y) for x, y in zip(first, second, strict=True))
            lines.add((area - limit * again, copy - again, -again))
    for (a, b, c), (d, e, f) in combinations(sorted(lines), 2):
        if not (det := a * e - b * d):
            continue
        u, w = (c * e - b * f) / det, (a * f - c * d) / det
        if u >= 0 and w >= 0 and limit * u + w <= 1:
            yield u, w
