"""Random costs and clusters for a schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from ..base.numbers import Number
from ..engine.cluster import Cluster, Link, Receives, Transfers
from ..engine.cost_tables import Table
from ..engine.costs import Costs
from ..schedule.ir import Schedule

_SCALES: st.SearchStrategy[Number] = st.sampled_from((1, 0.9, Fraction(2, 3)))
_SIZES = st.integers(0, 50)
_COINS = st.booleans()


def scales(schedule: Schedule) -> st.SearchStrategy[Table]:
    """Factors on the costs of each microbatch of `schedule`, also per stage: `microbatch_scale`."""
    factor = st.sampled_from((1, 1, 2, 0.5, Fraction(1, 3), 0))
    row = st.sampled_from((1, schedule.n_stages)).flatmap(
        lambda n: st.lists(factor, min_size=n, max_size=n).map(tuple)
    )
    m = schedule.n_microbatches
    return st.lists(row, min_size=1, max_size=2).flatmap(
        lambda rows: st.lists(st.sampled_from(rows), min_size=m, max_size=m).map(tuple)  # type: ignore[arg-type]
    )


def numbers(*, signed: bool = False) -> st.SearchStrategy[Number]:
    """What people type as a time or a size: whole numbers, decimals, fractions.

    >>> from hypothesis import find
    >>> find(numbers(), lambda number: number > 2)
    3
    """
    low = -20 if signed else 0
    return st.one_of(
        st.integers(low, 20),
        st.integers(10 * low, 200).map(lambda tenths: tenths / 10),
        st.fractions(low, 20, max_denominator=6),
    )


@lru_cache(maxsize=1024)
def _cells(cell: st.SearchStrategy[Number], rows: int, wide: int) -> st.SearchStrategy[Any]:
    """Tables of that shape; kept, because hypothesis takes longer to look over a new strategy than
    to draw from one that it knows."""
    row = st.lists(cell, min_size=wide, max_size=wide)
    return st.lists(row, min_size=rows, max_size=rows)


_one_of_two = lru_cache(maxsize=64)(st.sampled_from)
_numbers = lru_cache(maxsize=2)(numbers)


@st.composite
def costs(
    draw: st.DrawFn, schedule: Schedule, *, times: st.SearchStrategy[Number] | None = None
) -> Costs:
    """Costs that fit `schedule`: alike, different per stage, or per stage and slice.

    B may keep more than F did or give up to all of it back, so memory never falls below zero.
    times: how long a pass may take, `numbers()` by default.
    """
    times = _numbers() if times is None else times
    n, k = schedule.n_stages, schedule.n_slices

    def table(rows: int, cell: st.SearchStrategy[Number]) -> Any:
        wide = draw(_one_of_two((1, k)))
        return draw(_cells(cell, rows, wide)) if draw(_COINS) else [[draw(cell)]] * rows

    kept = table(n, _SIZES)
    at_b = [[draw(st.integers(-min(row), 30))] for row in kept]
    return Costs(
        forward=table(n, times),
        backward=table(n, times),
        weight=table(n, times),
        fused_backward=table(n, times) if draw(_COINS) else None,
        send=tuple(row[0] for row in table(n - 1, times)),
        activation_bytes=kept,
        backward_bytes=at_b,  # type: ignore[arg-type]
        boundary_bytes=table(n - 1, _SIZES),
        static_bytes=tuple(row[0] for row in table(n, _SIZES)),
        pair_scale=draw(_SCALES),
        group_scale=draw(_SCALES),
        offload=table(n, times) if schedule.copies else None,
    )


@st.composite
def clusters(
    draw: st.DrawFn,
    schedule: Schedule,
    *,
    transfers: Sequence[Transfers] = ("overlapped",),
    receives: Sequence[Receives] = ("buffered",),
) -> Cluster:
    """Clusters for `schedule`: stragglers, slow wires, and wires that several pairs share.

    Memory is unlimited. transfers, receives: the modes to draw from. Any mode but the first ones
    can make a valid schedule wait for itself, which `simulate` reports as `Deadlock`.
    """
    p = schedule.n_devices
    wire = st.builds(
        Link,
        latency=st.sampled_from((0, 1, 0.5)),
        bandwidth=st.sampled_from((math.inf, 1, 10, 0.5)),
    )
    links = draw(st.dictionaries(st.sampled_from("abc"), wire, max_size=3))
    pairs = [(a, b) for a in range(p) for b in range(p) if a != b]
    routed = draw(st.lists(st.sampled_from(pairs), unique=True)) if links and pairs else []
    names = st.lists(st.sampled_from(sorted(links)), min_size=1, max_size=2, unique=True)
    return Cluster(
        p,
        slowdown=tuple(draw(st.sampled_from((1, 1.5, 2))) for _ in range(p)),
        links=links,
        routes={pair: tuple(draw(names)) for pair in routed},
        transfers=draw(st.sampled_from(transfers)),
        receives=draw(st.sampled_from(receives)),
    )
