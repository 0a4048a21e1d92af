"""Compiled: all building blocks of the paper's shape in unit passes, and orders made of them.

A block says in which cell of time each pass of microbatch 0 runs; it repeats every `interval`
cells, so on a device cells must differ modulo the interval. What is enumerated are the cells of
device 0 and the steps from device to device; W goes to the first free cell after its B.

Source: Qi et al. 2024, arXiv 2405.15362, section on adaptive scheduling.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Literal, NamedTuple

import numpy as np

from ..compiled import Ints, compiled, overwrite
from .unroll import DeviceOrders

F, B, W = range(3)


class UnitBlock(NamedTuple):
    """A building block in unit passes: cells of F, B, W, shape `(3, n_stages)`, and interval."""

    cells: Ints
    interval: int


def blocks(
    n_devices: int, placement: Literal["v", "straight"] = "v", interval: int | None = None
) -> Iterator[UnitBlock]:
    """All collision-free blocks of the adaptive search; `interval` in unit passes.

    A step between devices is longer over the first few gaps than over the others, or the same.
    """
    p = n_devices
    if placement == "v":
        T = interval or 6
        for residues in permutations(range(1, T), 3):
            at_first = np.array((0, *residues), np.int64)
            for step in range(1, T):
                for other in range(1, step + 1):
                    for gaps in range(1, p - 1) if other < step else (p - 1,):
                        free, cells = v_block(p, T, at_first, step, gaps, other)
                        if free:
                            yield UnitBlock(cells, T)
        return
    T = interval or 3
    steps = [np.array(step, np.int64) for step in product(range(1, T + 2), repeat=2)]
    for turn in range(1, T):
        for there, back in product(steps, repeat=2):
            for gaps in (p - 1,) if there is back else range(1, p - 1):
                free, cells = straight_block(p, T, turn, there, gaps, back)
                if free:
                    yield UnitBlock(cells, T)


@compiled
def v_block(p: int, T: int, at_first: Ints, step: int, gaps: int, other: int) -> tuple[bool, Ints]:
    """Cells of (F, B, W) of every stage, shape (3, 2p), of a V block; False if passes collide.

    at_first: cells of F0, F1, B1, B0 of device 0 modulo T. F0 and B1 reach the next device `step`
    cells later over the first `gaps` gaps and `other` cells later over the rest; F1 and B0 reach
    the device before one cell later.
    """
    cells = np.zeros((3, 2 * p), np.int64)
    last = 2 * p - 1
    down = np.zeros(p, np.int64)  # from device 0 to each
    for d in range(1, p):
        down[d] = down[d - 1] + (step if d - 1 < gaps else other)
    # F0 down, F1 up again: as soon as it can for its residue on device 0, p - 1 cells later
    for d in range(p):
        cells[F, d] = at_first[0] + down[d]
    f1 = next_at(cells[F, p - 1] + 1, at_first[1] - (p - 1), T)
    # B1 down after F1 on device 0, B0 up after B1 on device p - 1
    b1 = next_at(f1 + p, at_first[2], T)
    for d in range(p):
        cells[F, last - d] = f1 + (p - 1 - d)
        cells[B, last - d] = b1 + down[d]
    b0 = next_at(cells[B, p] + 1, at_first[3] - (p - 1), T)
    for d in range(p):
        cells[B, d] = b0 + (p - 1 - d)
    taken = np.zeros(T, np.bool_)
    for d in range(p):
        taken[:] = False
        for s in (d, last - d):
            for kind in (F, B):
                if taken[cells[kind, s] % T]:
                    return False, cells
                taken[cells[kind, s] % T] = True
        for s in (last - d, d):
            cells[W, s] = cells[B, s] + 1
            while taken[cells[W, s] % T]:
                cells[W, s] += 1
            taken[cells[W, s] % T] = True
    return True, cells


@compiled
def next_at(earliest: int, residue: int, T: int) -> int:
    """The first cell from `earliest` on that has this residue modulo T."""
    return earliest + (residue - earliest) % T


@compiled
def straight_block(
    p: int, T: int, turn: int, step: Ints, gaps: int, other: Ints
) -> tuple[bool, Ints]:
    """The same with one stage per device, shape (3, p): F goes step[0] or other[0] cells a device,
    B comes back step[1] or other[1]; on the last device B starts `turn` cells after F."""
    cells = np.zeros((3, p), np.int64)
    for d in range(1, p):
        cells[F, d] = cells[F, d - 1] + (step[0] if d - 1 < gaps else other[0])
    cells[B, p - 1] = cells[F, p - 1] + turn
    for d in range(p - 2, -1, -1):
        cells[B, d] = cells[B, d + 1] + (step[1] if d < gaps else other[1])
    for d in range(p):
        f, b = cells[F, d] % T, cells[B, d] % T
        if f == b:
            return False, cells
        cells[W, d] = cells[B, d] + 1
        while cells[W, d] % T == f or cells[W, d] % T == b:
            cells[W, d] += 1
    return True, cells


@compiled
def rounds_of_block(block: UnitBlock, device_of: Ints) -> DeviceOrders:
    """What each device does in one interval, by cell; microbatch 0 starts in the first one."""
    cells, interval = block
    n_devices = device_of.max() + 1
    passes, first = np.empty((cells.size, 3), np.int64), np.zeros(n_devices + 1, np.int64)
    at = 0
    for d in range(n_devices):
        for cell in range(interval):
            for s in range(device_of.size):
                for kind in range(3):
                    if device_of[s] == d and cells[kind, s] % interval == cell:
                        put(passes, at, kind, s, -(cells[kind, s] // interval))
                        at += 1
        first[d + 1] = at
    return DeviceOrders(passes, first)


@compiled
def with_early_weights(orders: DeviceOrders, many: int) -> DeviceOrders:
    """The order with W right behind its B for the first `many` microbatches."""
    passes, first = orders
    found = np.empty_like(passes)
    at = 0
    for i in range(passes.shape[0]):
        kind, s, m = passes[i]
        if kind == W and m < many:
            continue
        put(found, at, kind, s, m)
        at += 1
        if kind == B and m < many:
            put(found, at, W, s, m)
            at += 1
    return DeviceOrders(found, first)


@compiled
def with_more_forwards(orders: DeviceOrders, room: Ints, m: int, turns: int) -> DeviceOrders:
    """V orders that fill the room[d] chunks of each device d with forwards before the first
    backward: min(d+1, room/2) of chunk 1 and the rest of chunk 0.

    They are laid as chunk 0 alone, then both in turn: 2 (p-1-d) of chunk 0 first if `turns` is 1,
    as few as leave the last ones in turn if it is 0. With `turns` 2 triples B1, W1, next F follow.
    The rest is as in `orders`.
    """
    passes, first = orders
    p = first.size - 1
    found = np.empty_like(passes)
    for d in range(p):
        at, high = first[d], first[d + 1]
        chunk1 = 2 * p - 1 - d
        late = min(d + 1, room[d] // 2, m)
        early = min(room[d] - late, m)
        late = min(late, early)
        alone = early - late if turns == 0 else min(2 * (p - 1 - d), early)
        done = 0
        for i in range(early):
            put(found, at, F, d, i)
            at += 1
            if i >= alone and done < late:
                put(found, at, F, chunk1, done)
                at, done = at + 1, done + 1
        for i in range(done, late):
            put(found, at, F, chunk1, i)
            at += 1
        triples = late if turns == 2 else 0
        j = first[d]  # forwards before row j are there already
        for i in range(triples):
            put(found, at, B, chunk1, i)
            put(found, at + 1, W, chunk1, i)
            at += 2
            while j < high and not lacks(passes[j], d, early, late):
                j += 1
            if j < high:
                overwrite(found[at], passes[j])
                at, j = at + 1, j + 1
        for i in range(first[d], high):
            if passes[i, 0] == F:
                there = i < j or not lacks(passes[i], d, early, late)
            else:
                there = passes[i, 1] == chunk1 and passes[i, 2] < triples
            if not there:
                overwrite(found[at], passes[i])
                at += 1
    return DeviceOrders(found, first)


@compiled
def lacks(row: Ints, d: int, early: int, late: int) -> bool:
    """Whether a row is a forward that is not among the first ones of its chunk on device d."""
    return bool(row[0] == F and row[2] >= (early if row[1] == d else late))


@compiled
def put(passes: Ints, row: int, kind: int, stage: int, microbatch: int) -> None:
    passes[row, 0], passes[row, 1], passes[row, 2] = kind, stage, microbatch
