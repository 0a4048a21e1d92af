"""Decides exactly whether a V pipeline can repeat with a given period, device by device.

On a V placement device d holds stages d (chunk 0) and 2p-1-d (chunk 1). For one microbatch let
a, b, c, e be the starts of F0, F1, B1, B0 on a device. From device d to d+1, a and c move later,
b and e move earlier:

    device 0    a ----------------------------- b c ----------------------------- e
    device 1       a ----------------------- b      c ----------------------- e
    device 2          a ----------------- b            c ----------------- e

What a device needs of the others is thus only (b - a) mod T, the outer loop O = c - b and the inner
loop I = e - a. The set of reachable (b - a, O, I) is carried from device 0 to device p-1 by four
moves, each a running minimum, and filtered on every device by: no overlap modulo T, and a place for
both W such that the live activations stay within the limit. Of equal O mod T only the smallest O is
kept, since it serves at least as well in all that follows. The last device closes the loop: I must
be at least O plus its own passes. No layout found is a proof that there is none.

Time and space grow with p T^2 G, where G is the slack that the memory limit leaves to the loops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..effort import Effort
from .decide_v_moves import NEVER, closing, first, move_a, move_b, move_c, move_e, struck, weights
from .problem import Answer, Layout, Problem, area_of, least_loop

LARGEST_TABLE = 120_000_000
SECONDS_PER_STATE = 1.5e-8
"""What a state of one device takes, about, on one core."""


def is_nested(problem: Problem) -> bool:
    """Whether the placement is a V: every device holds stages s and 2p-1-s."""
    placement = problem.placement
    return len(placement) == 2 * problem.n_devices and placement == placement[::-1]


def nested_layout(
    problem: Problem, period: int, *, largest: int = LARGEST_TABLE, effort: Effort | None = None
) -> Answer | None:
    """The answer for a V placement; None if its tables would exceed `largest` bytes.

    effort: where the work on the tables is reported.
    """
    effort = effort or Effort()
    p, T = problem.n_devices, period
    tables = _tables(problem)
    slack = _slack(problem, T)
    if min(slack) < 0:
        return Answer(None, True)
    G = max(slack)
    # a layout that waits longer than this anywhere is not worth looking for, but not excluded
    cap = 2 * T if G > 3 * T else G
    if (cap + 1) * T * T > largest:
        return None
    keep = p * (cap + 1) * T * T <= 2 * largest
    verdict = _search(problem, T, cap, np.minimum(slack, cap), tables, keep, effort)
    if verdict.layout is None and cap < G:
        if largest < (G + 1) * T * T:
            return Answer(None, False)
        verdict = _search(
            problem, T, G, np.array(slack), tables, p * (G + 1) * T * T <= 2 * largest, effort
        )
    if verdict.layout is None and tables.units[:-1, 5:].any():
        free = tables.units.copy()
        free[:-1, 5:] = 0  # allows also what would run a microbatch backwards
        loose = _search(problem, T, G, np.array(slack), replace(tables, units=free), keep, effort)
        return Answer(None, loose.layout is None)
    return verdict


def states(problem: Problem, period: int) -> int:
    """How much work a verdict on `period` takes, in states x devices."""
    slack = _slack(problem, period)
    return (max(slack) + 1) * period * period * problem.n_devices if min(slack) >= 0 else 0


def _search(
    problem: Problem,
    T: int,
    G: int,
    slack: NDArray[np.int64],
    tables: _Tables,
    keep: bool,
    effort: Effort,
) -> Answer:
    p = problem.n_devices
    table = np.empty((G + 1, T, T), np.uint8)
    kept = []
    first(table, T, tables.times[0, 1])
    for d in range(p):
        if d:
            _advance(table, T, tables, d - 1)
        effort.worked(SECONDS_PER_STATE * table.size)
        alive = struck(
            table, T, int(tables.inner[d]), int(slack[d]), tables.times[d], tables.units[d]
        )
        if not alive:
            return Answer(None, True)
        if keep:
            kept.append(table.copy())
    i, o, u = closing(table, T, int(tables.inner[p - 1]), tables.times[p - 1])
    if i < 0:
        return Answer(None, True)
    if not keep:
        effort.worked(SECONDS_PER_STATE * table.size * p)
        kept = _replayed(T, G, slack, tables, p)
    return Answer(_traced(problem, T, tables, kept, (i, o, u)), True)


@dataclass(frozen=True)
class _Tables:
    """times[d] = F0 F1 B1 B0 W1 W0; units[d] = kept0 kept1 change0 change1 limit, then whether F0
    and F1, and B1 and B0, may be of one microbatch if they fall on one instant, and so keep their
    order; down, up: sends of the boundaries between d and d+1 in chunk 0 and chunk 1; inner, outer:
    least loops."""

    times: NDArray[np.int64]
    units: NDArray[np.int64]
    down: NDArray[np.int64]
    up: NDArray[np.int64]
    inner: NDArray[np.int64]
    outer: NDArray[np.int64]


def _tables(problem: Problem) -> _Tables:
    p = problem.n_devices
    last = 2 * p - 1
    f, b, w = problem.forward, problem.backward, problem.weight
    limits = problem.limit or (0,) * p
    order = [problem.placement[d] for d in range(p)]
    times = [[f[d], f[last - d], b[last - d], b[d], w[last - d], w[d]] for d in range(p)]
    units = [
        [problem.kept[d], problem.kept[last - d], problem.change[d], problem.change[last - d],
         limits[order[d]], _at_once(problem, f, d), _at_once(problem, b, d)]
        for d in range(p)
    ]  # fmt: skip
    return _Tables(
        np.array(times, np.int64),
        np.array(units, np.int64),
        np.array([problem.send[d] for d in range(p - 1)], np.int64),
        np.array([problem.send[last - 1 - d] for d in range(p - 1)], np.int64),
        np.array([least_loop(problem, d) for d in range(p)], np.int64),
        np.array([least_loop(problem, last - d) for d in range(p)], np.int64),
    )


def _at_once(problem: Problem, times: tuple[int, ...], d: int) -> bool:
    """Whether no time passes from the first to the last pass of this kind on device d."""
    last = len(problem.placement) - 1 - d
    return not any(times[d : last + 1]) and not any(problem.send[d:last])


def _slack(problem: Problem, T: int) -> list[int]:
    """How much longer than its least the inner loop of each device may be under the limit."""
    p, last, found = problem.n_devices, len(problem.placement) - 1, []
    assert problem.limit is not None
    for d in range(p):
        area = sum(area_of(problem, s, least_loop(problem, s)) for s in (d, last - d))
        left = problem.limit[problem.placement[d]] * T - area
        found.append(
            left // problem.kept[d] if problem.kept[d] else (4 * p * T if left >= 0 else -1)
        )
    for d in range(1, p):  # a loop inside another has no more slack than that one
        found[d] = min(found[d], found[d - 1])
    return found


def _advance(table: NDArray[np.uint8], T: int, tables: _Tables, d: int) -> None:
    """Carry the table from device d to d+1: the four moves in turn."""
    for move in range(4):
        _move(table, T, tables, d, move)


def _move(table: NDArray[np.uint8], T: int, tables: _Tables, d: int, move: int) -> None:
    times = tables.times
    if move == 0:
        move_b(table, T, int(times[d + 1, 1] + tables.up[d]))
    elif move == 1:
        move_c(table, T, int(times[d, 2] + tables.up[d]))
    elif move == 2:
        move_e(table, T)
    else:
        move_a(table, T, int(times[d, 0] + tables.down[d]))


def _replayed(
    T: int, G: int, slack: NDArray[np.int64], tables: _Tables, p: int
) -> list[NDArray[np.uint8]]:
    """The filtered tables of all devices once more, this time kept (on disk-sized problems)."""
    table, kept = np.empty((G + 1, T, T), np.uint8), []
    first(table, T, tables.times[0, 1])
    for d in range(p):
        if d:
            _advance(table, T, tables, d - 1)
        struck(table, T, int(tables.inner[d]), int(slack[d]), tables.times[d], tables.units[d])
        kept.append(table.copy())
    return kept


def _traced(
    problem: Problem,
    T: int,
    tables: _Tables,
    kept: list[NDArray[np.uint8]],
    end: tuple[int, int, int],
) -> Layout:
    """Walk back through the kept tables and write down the start of every pass."""
    p, last = problem.n_devices, len(problem.placement) - 1
    i, o, u = end
    waits = np.zeros((p, 4), np.int64)  # between d and d+1: of a, b, c, e
    states = [(0, 0, 0, 0)] * p  # b - a modulo T, outer, inner, index of i
    outer = int(kept[p - 1][i, o, u]) * T + o
    states[p - 1] = (u, outer, int(tables.inner[p - 1]) + i, i)
    for d in range(p - 2, -1, -1):
        tablets = [kept[d].copy()]
        for move in range(3):
            tablets.append(tablets[-1].copy())
            _move(tablets[-1], T, tables, d, move)
        ya = int(tables.times[d, 0] + tables.down[d])
        yb = int(tables.times[d + 1, 1] + tables.up[d])
        yc = int(tables.times[d, 2] + tables.up[d])
        ye = int(tables.times[d + 1, 3] + tables.down[d])
        # undo a: u and inner grow together
        x = next(
            x for x in range(tablets[3].shape[0] - i)
            if _value(tablets[3], T, i + x, outer % T, (u + ya + x) % T) <= outer
        )  # fmt: skip
        i, u, waits[d, 0] = i + x, (u + ya + x) % T, ya + x
        x = next(
            x
            for x in range(tablets[2].shape[0] - i)
            if _value(tablets[2], T, i + x, outer % T, u) <= outer
        )
        i, waits[d, 3] = i + x, ye + x
        x = next(
            x
            for x in range(T)
            if _value(tablets[1], T, i, (outer - yc - x) % T, u) <= outer - yc - x
        )
        outer, waits[d, 2] = outer - yc - x, yc + x
        x = next(
            x for x in range(T)
            if _value(tablets[0], T, i, (outer - yb - x) % T, (u + yb + x) % T) <= outer - yb - x
        )  # fmt: skip
        outer, u, waits[d, 1] = outer - yb - x, (u + yb + x) % T, yb + x
        states[d] = (u, outer, int(tables.inner[d]) + i, i)
    a = np.concatenate([[0], np.cumsum(waits[:-1, 0])]).astype(np.int64)
    u, outer, inner, _ = states[p - 1]
    f0 = int(tables.times[p - 1, 0])
    b = np.empty(p, np.int64)
    c, e = b.copy(), b.copy()
    b[p - 1] = a[p - 1] + f0 + (u - f0) % T
    c[p - 1], e[p - 1] = b[p - 1] + outer, a[p - 1] + inner
    for d in range(p - 2, -1, -1):
        b[d] = b[d + 1] + waits[d, 1]
        c[d] = c[d + 1] - waits[d, 2]
        e[d] = e[d + 1] + waits[d, 3]
    forward, backward, weight = [0] * (last + 1), [0] * (last + 1), [0] * (last + 1)
    for d in range(p):
        t = tables.times[d]
        w1, w0 = weights(
            T, int(b[d] - a[d]) % T, int(c[d] - b[d]), int(e[d] - a[d]), t, tables.units[d]
        )
        assert w1 >= 0
        forward[d], forward[last - d] = int(a[d]), int(b[d])
        backward[d], backward[last - d] = int(e[d]), int(c[d])
        weight[d], weight[last - d] = int(e[d] + t[3] + w0), int(c[d] + t[2] + w1)
    return Layout(T, (tuple(forward),), (tuple(backward),), (tuple(weight),))


def _value(table: NDArray[np.uint8], T: int, i: int, o: int, u: int) -> int:
    """Smallest outer of a state; the table holds its whole periods."""
    whole = int(table[i, o, u])
    return whole * T + o if whole != NEVER else 1 << 60
