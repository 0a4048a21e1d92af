"""Compiled: all building blocks of one shape, the unit cells of their passes, and their orders."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Literal, NamedTuple

import numpy as np

from ..compiled import Ints, compiled


class UnitBlock(NamedTuple):
    """A building block in unit passes: cells of F, B, W, shape `(3, n_stages)`, and interval."""

    cells: Ints
    interval: int


def blocks(
    n_devices: int, placement: Literal["v", "straight"] = "v", interval: int | None = None
) -> Iterator[UnitBlock]:
    """All collision-free blocks of the adaptive search; `interval` in unit passes."""
    p = n_devices
    if placement == "v":
        T = interval or 6
        for residues in permutations(range(1, T), 3):
            start = np.array((0, *residues), np.int64)
            for first in range(1, T):
                for rest in range(1, first + 1):
                    for gaps in range(1, p - 1) if rest < first else (p - 1,):
                        fine, cells = v_block(p, T, start, first, gaps, rest)
                        if fine:
                            yield UnitBlock(cells, T)
        return
    T = interval or 3
    steps = [np.array(step, np.int64) for step in product(range(1, T + 2), repeat=2)]
    for turn in range(1, T):
        for step in steps:
            for other in steps:
                for gaps in (p - 1,) if step is other else range(1, p - 1):
                    fine, cells = straight_block(p, T, turn, step, gaps, other)
                    if fine:
                        yield UnitBlock(cells, T)


@compiled
def v_block(p: int, T: int, residues: Ints, first: int, gaps: int, rest: int) -> tuple[bool, Ints]:
    """Cells of (F, B, W) of every stage, shape (3, 2p), of a V block; False if passes collide.

    residues: cells of F0, F1, B1, B0 of device 0 modulo T. F0 and B1 reach the next device `first`
    cells later over the first `gaps` gaps and `rest` cells later over the others; F1 and B0 reach
    the device before one cell later.
    """
    times = np.zeros((3, 2 * p), np.int64)
    last = 2 * p - 1
    down = np.zeros(p, np.int64)
    for d in range(1, p):
        down[d] = down[d - 1] + (first if d - 1 < gaps else rest)
    for d in range(p):
        times[0, d] = residues[0] + down[d]
    # F1 and B0 on device d sit d cells before device 0, modulo T
    turn = times[0, p - 1] + 1
    f1 = turn + (residues[1] - (p - 1) - turn) % T
    b1 = f1 + p
    b1 = b1 + (residues[2] - b1) % T
    for d in range(p):
        times[0, last - d] = f1 + (p - 1 - d)
        times[1, last - d] = b1 + down[d]
    turn = times[1, p] + 1
    b0 = turn + (residues[3] - (p - 1) - turn) % T
    for d in range(p):
        times[1, d] = b0 + (p - 1 - d)
    taken = np.zeros(T, np.bool_)
    for d in range(p):
        taken[:] = False
        for s in (d, last - d):
            for kind in range(2):
                if taken[times[kind, s] % T]:
                    return False, times
                taken[times[kind, s] % T] = True
        for s in (last - d, d):
            at = times[1, s] + 1
            while taken[at % T]:
                at += 1
            times[2, s] = at
            taken[at % T] = True
    return True, times


@compiled
def straight_block(
    p: int, T: int, turn: int, first: Ints, gaps: int, rest: Ints
) -> tuple[bool, Ints]:
    """The same with one stage per device, shape (3, p): F goes first[0] or rest[0] cells a device,
    B comes back first[1] or rest[1]; on the last device B starts `turn` cells after F."""
    times = np.zeros((3, p), np.int64)
    for d in range(1, p):
        times[0, d] = times[0, d - 1] + (first[0] if d - 1 < gaps else rest[0])
    times[1, p - 1] = times[0, p - 1] + turn
    for d in range(p - 2, -1, -1):
        times[1, d] = times[1, d + 1] + (first[1] if d < gaps else rest[1])
    for d in range(p):
        f, b = times[0, d] % T, times[1, d] % T
        if f == b:
            return False, times
        at = times[1, d] + 1
        while at % T == f or at % T == b:
            at += 1
        times[2, d] = at
    return True, times


@compiled
def repeated_rows(times: Ints, T: int, m: int, device_of: Ints, first: Ints) -> Ints:
    """(kind, stage, microbatch) of every pass, device after device, in the order of their cells."""
    n_stages = device_of.size
    rows = np.zeros((3 * n_stages * m, 3), np.int64)
    begin, end = times.min(), times.max() + T * (m - 1)
    stages = np.zeros(n_stages, np.int64)
    for d in range(first.size - 1):
        n_here = 0
        for s in range(n_stages):
            if device_of[s] == d:
                stages[n_here] = s
                n_here += 1
        at = first[d]
        for cell in range(begin, end + 1):
            for j in range(n_here):
                s = stages[j]
                for kind in range(3):
                    whole = cell - times[kind, s]
                    if whole >= 0 and whole % T == 0 and whole // T < m:
                        rows[at, 0], rows[at, 1], rows[at, 2] = kind, s, whole // T
                        at += 1
    return rows


@compiled
def within(rows: Ints, first: Ints, units: Ints, limit: Ints) -> bool:
    """Whether an order keeps the limit of every device."""
    for d in range(first.size - 1):
        alive = 0
        for i in range(first[d], first[d + 1]):
            kind, s = rows[i, 0], rows[i, 1]
            rise = units[0, s] if kind == 0 else max(units[1, s], 0) if kind == 1 else 0
            if alive + rise > limit[d]:
                return False
            if kind == 0:
                alive += units[0, s]
            elif kind == 1:
                alive += units[1, s]
            else:
                alive -= units[0, s] + units[1, s]
    return True


@compiled
def freed(rows: Ints, first: Ints, many: int) -> Ints:
    """The order with W right behind its B for the first `many` microbatches."""
    found = np.empty_like(rows)
    for d in range(first.size - 1):
        at = first[d]
        for i in range(first[d], first[d + 1]):
            kind, early = rows[i, 0], rows[i, 2] < many
            if kind == 2 and early:
                continue
            found[at] = rows[i]
            at += 1
            if kind == 1 and early:
                found[at] = rows[i]
                found[at, 0] = 2
                at += 1
    return found


@compiled
def warmed(rows: Ints, first: Ints, k: Ints, m: int, turns: int) -> Ints:
    """V orders with more forwards before the first backward: on device d min(d+1, k/2) of chunk 1
    and the rest of k of chunk 0.

    They are laid as chunk 0 alone, then both in turn: 2 (p-1-d) of chunk 0 first if `turns` is 1,
    as few as leave the last ones in turn if it is 0. With `turns` 2 triples B1, W1, next F follow.
    """
    p = first.size - 1
    found = np.empty_like(rows)
    for d in range(p):
        late = min(d + 1, k[d] // 2, m)
        early = min(k[d] - late, m)
        late = min(late, early)
        alone = early - late if turns == 0 else min(2 * (p - 1 - d), early)
        at, done = first[d], 0
        for i in range(early):
            found[at, 0], found[at, 1], found[at, 2] = 0, d, i
            at += 1
            if i >= alone and done < late:
                found[at, 0], found[at, 1], found[at, 2] = 0, 2 * p - 1 - d, done
                at += 1
                done += 1
        while done < late:
            found[at, 0], found[at, 1], found[at, 2] = 0, 2 * p - 1 - d, done
            at += 1
            done += 1
        triples = late if turns == 2 else 0
        for i in range(triples):
            for kind in range(1, 3):
                found[at, 0], found[at, 1], found[at, 2] = kind, 2 * p - 1 - d, i
                at += 1
            # the next F of the order that is not there yet
            skip = i
            for j in range(first[d], first[d + 1]):
                gone = rows[j, 2] < (early if rows[j, 1] == d else late)
                if rows[j, 0] == 0 and not gone:
                    if skip == 0:
                        found[at] = rows[j]
                        at += 1
                        break
                    skip -= 1
        moved = triples
        for i in range(first[d], first[d + 1]):
            chunk0 = rows[i, 1] == d
            if rows[i, 0] == 0:
                if rows[i, 2] < (early if chunk0 else late):
                    continue
                if moved > 0:
                    moved -= 1
                    continue
            elif not chunk0 and rows[i, 2] < triples:
                continue
            found[at] = rows[i]
            at += 1
    return found
