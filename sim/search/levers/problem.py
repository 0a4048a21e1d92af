"""What a search with levers works on: the orders of F, B and W, and what is done about each unit.

A **unit** is one microbatch on one stage. Beside the order of F, B and W, which is kept as in
`orders.problem`, two tables say all about recompute and offload, so that every entry of them means
a schedule that can be written down:

- `mode[s, i]`: KEEP, RECOMPUTE (a pass R), or OFFLOAD (passes O and L);
- `lead[s, i]`: R or L stands so many passes before B, but never before F. O stands right after F.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base.numbers import Number, common_ticks, exact
from ...bounds.memory import pieces
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Kind, Op
from ..compiled import Ints
from ..orders.limits import UNLIMITED
from ..orders.problem import Order, OrderProblem, order_problem

KEEP, RECOMPUTE, OFFLOAD = 0, 1, 2
MODES = {"keep": KEEP, "recompute": RECOMPUTE, "offload": OFFLOAD}
Modes = NDArray[np.int8]
"""What is done about each unit, shape `(n_stages, n_microbatches)`."""
Leads = NDArray[np.int32]
"""How many passes R or L stands before B, same shape."""


class Pulled(NamedTuple):
    """An order with what is done about the memory of each unit."""

    order: Order
    mode: Modes
    lead: Leads


class LeverTables(NamedTuple):
    """What compiled loops know beside `OrderTables`, in its ticks; pieces are in parts of one.

    again, out, back: times of R, O and L, shape `(n_stages,)`; 0 where they do not occur.
    forward, prepare: what F takes, and what R or L takes, by mode, shape `(2, n_stages, 3)`.
    backward, weight, away: signed changes at B and at W, and what O gives back, `(2, n_stages)`.
    limits: shape `(2, n_devices)`.
    """

    again: Ints
    out: Ints
    back: Ints
    forward: Ints
    prepare: Ints
    backward: Ints
    weight: Ints
    away: Ints
    limits: Ints


class LeverProblem(NamedTuple):
    """An order problem in whose ticks R, O and L are counted too; allowed: modes of a unit."""

    orders: OrderProblem
    tables: LeverTables
    allowed: tuple[int, ...]

    @property
    def costs(self) -> Costs:
        return self.orders.costs

    def kept(self, order: Order) -> Pulled:
        """The order with no lever pulled."""
        shape = self.orders.n_stages, self.orders.n_microbatches
        return Pulled(order, np.zeros(shape, np.int8), np.zeros(shape, np.int32))


def checked_levers(names: Iterable[str], copies: bool) -> tuple[str, ...]:
    """The levers by name, in order; ValueError for others, and where nobody says how fast copies
    are."""
    chosen = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in chosen:
        if name not in ("recompute", "offload"):
            raise ValueError(f"no lever is called {name!r}: use recompute, offload or both")
    if "offload" in chosen and not copies:
        raise ValueError(
            "offload needs the time of copies: give host, as in Host(bandwidth=25), or costs with "
            "the time of O"
        )
    return chosen


def lever_problem(
    placement: tuple[int, ...],
    n_microbatches: int,
    costs: Costs,
    *,
    levers: Collection[str],
    clock: Clock = "makespan",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> LeverProblem:
    """The tables of a search over orders and levers ("recompute", "offload") on `placement`."""
    n = len(placement)
    kinds: list[Kind] = []
    if "recompute" in levers:
        kinds += ["R"]
    if "offload" in levers:
        kinds += ["O", "L"]
    times: dict[Kind, list[Number]] = {
        kind: [costs.duration((Op(kind, s, 0),)) for s in range(n)] for kind in kinds
    }
    problem = order_problem(
        placement, n_microbatches, costs, clock=clock, memory_limit=memory_limit,
        memory_bytes=memory_bytes, more_times={time for row in times.values() for time in row},
    )  # fmt: skip

    def ticks(kind: Kind) -> Ints:
        found = [float(time) * float(problem.scale) for time in times.get(kind, [0] * n)]
        return np.array([round(time) for time in found], np.int64)

    keeps = exact(costs.recompute_keeps)
    tables = LeverTables(
        ticks("R"), ticks("O"), ticks("L"),
        *_memory(placement, costs, keeps, n_microbatches, memory_limit, memory_bytes),
    )  # fmt: skip
    allowed = [MODES["recompute"]] * ("R" in kinds) + [MODES["offload"]] * ("O" in kinds)
    return LeverProblem(problem, tables, (KEEP, *allowed))


def _memory(
    placement: tuple[int, ...],
    costs: Costs,
    keeps: Fraction,
    m: int,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    n, p = len(placement), max(placement) + 1
    forward, prepare = (np.zeros((2, n, 3), np.int64) for _ in range(2))
    backward, weight, away = (np.zeros((2, n), np.int64) for _ in range(3))
    limits = np.full((2, p), UNLIMITED, np.int64)
    parts = keeps.denominator
    kept = keeps.numerator
    forward[0], prepare[0] = (parts, kept, parts), (0, parts - kept, parts)
    weight[0], away[0] = -parts, -parts
    if shares is not None:
        chunks = n // p
        limits[0] = pieces(shares, chunks * parts)
    if size is not None:
        changes = [[exact(costs.change(kind, s)) for kind in ("F", "B", "W")] for s in range(n)]
        sizes = {abs(change) for row in changes for change in row}
        again = [exact(costs.rebuilt_bytes(s)) for s in range(n)]
        sizes |= {*again} | {row[0] - rest for row, rest in zip(changes, again, strict=True)}
        counted = common_ticks(sizes | {Fraction(0)}, how_many=4 * n * m)
        per_unit = counted.per_unit or 1
        for s, (at_forward, at_backward, at_weight) in enumerate(changes):
            part = at_forward - again[s]
            forward[1, s] = [_up(x, per_unit) for x in (at_forward, part, at_forward)]
            prepare[1, s] = [0, *(_up(x, per_unit) for x in (again[s], at_forward))]
            backward[1, s], weight[1, s] = _up(at_backward, per_unit), _up(at_weight, per_unit)
            away[1, s] = _up(-at_forward, per_unit)
        room = size if isinstance(size, Sequence) else [size] * p
        for d in range(p):
            static = sum(
                (exact(costs.static_bytes[s]) for s in range(n) if placement[s] == d), Fraction(0)
            )
            limits[1, d] = math.floor((exact(room[d]) - static) * per_unit)
    return forward, prepare, backward, weight, away, limits


def _up(change: Fraction, per_unit: Number) -> int:
    return math.ceil(change * per_unit)
