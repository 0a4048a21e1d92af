"""Rules for list scheduling: what may be alive, which pass goes first, when W fills a gap."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..compiled import Ints
from .problem import OrderProblem
from .warm_up import fitting_warm_ups

ANY = 9999
"""More passes W than ever pend."""


class Rules(NamedTuple):
    """What list scheduling goes by on each device, in each of three phases.

    Phase 0 is before the first B of a device, 2 after the last F of its first chunk, 1 between.
    alive: how many microbatches of a chunk may be between F and the end of W; ahead: between F and
        B; shape `(3, n_devices, chunks)`.
    rank: which of the ready passes goes first, the smallest, shape `(3, n_devices, 2 * chunks)`;
        F of chunk c stands at 2 c, B at 2 c + 1.
    patience: W runs if nothing better comes within so many thousandths of its time. courtesy: a
        pass gives way to a better one that comes within so many thousandths of its own time.
        backlog: W runs at once when so many pend. Shape `(3, n_devices)`.
    """

    alive: Ints
    ahead: Ints
    rank: Ints
    patience: Ints
    courtesy: Ints
    backlog: Ints


_FILLING = ((1000, 0, ANY), (0, 0, ANY), (1000, 1000, ANY), (1000, 500, 2), (1000, 1000, 1))
"""Choices of patience, courtesy and backlog that a sweep goes over."""
_CHANGES = ((0, 200, 500, 800, 1000, 1200), (0, 0, 200, 500, 1000, 1500), (1, 2, 3, 4, ANY, ANY))
"""What a change sets them to."""


def sweep(problem: OrderProblem, without: Collection[str] = ()) -> Iterator[Rules]:
    """Rules under which what may be alive changes linearly from device 0 to the last one.

    First a coarse choice of all, then the finer ones; each for all phases, and for the warm-up
    alone with nothing but the limit afterwards. Straight pipelines with much memory have their own
    rules before that.
    """
    p, chunks, m = problem.n_devices, problem.chunks, problem.n_microbatches
    room = _room(problem)
    top = int(room.max())
    if "warm-ups" not in without:
        yield from _ample(problem, room)
    coarse = {1, 2, 3, top // 4, top // 3, top // 2, 2 * top // 3, top - 1, top}
    line = np.linspace(0, 1, p)
    most_of_last = np.maximum(1, room - (chunks - 1))  # where every chunk has one at least
    free = np.repeat(most_of_last[:, None], chunks, 1)
    any_number = np.full((p, chunks), m)
    done: set[tuple[int, int]] = set()
    for ends in (coarse, range(1, min(top, 24) + 1)):
        levels = sorted(level for level in set(ends) if 1 <= level <= top)
        pairs = [(a, b) for a in levels for b in levels if (a, b) not in done]
        done.update(pairs)
        for filling, rank, (low, high) in product(_FILLING, _ranks(chunks), pairs):
            last = np.clip(np.round(low + (high - low) * line).astype(np.int64), 1, room)
            caps = last[:, None]
            if chunks > 1:  # the last chunk has its number, the others share the rest
                last = np.minimum(last, most_of_last)
                rest = np.maximum(1, (room - last) // (chunks - 1))
                caps = np.repeat(rest[:, None], chunks, 1)
                caps[:, -1] = last
            for later in (caps, free):
                yield _rules([caps, later, later], [any_number] * 3, rank, filling)
            if chunks == 1:  # late devices put off W, so that what they send comes early
                yield _rules([any_number] * 3, [caps] * 3, rank, filling)


def _ample(problem: OrderProblem, room: Ints) -> Iterator[Rules]:
    """Rules with a warm-up that (almost) never idles, and then fewer microbatches under way.

    W runs when nothing else can, so that device after device keeps some back for the cool-down.
    """
    p, m, top = problem.n_devices, problem.n_microbatches, int(room.max())
    line = np.linspace(0, 1, p)
    levels = sorted({1, 2, 3, *(top * part // 12 for part in (3, 4, 6, 8)), top - 1, top} - {0})
    any_number = np.full((p, 1), m)
    warm_ups = fitting_warm_ups(problem, room)
    for patience, rank in product((0, 500, 1000), _ranks(1)):
        for low, high, warm in product(levels, levels, warm_ups):
            later = np.round(low + (high - low) * line).astype(np.int64)[:, None]
            ahead = [warm[:, None], later, later]
            yield _rules([any_number] * 3, ahead, rank, (patience, 0, ANY))


def _rules(
    alive: Sequence[Ints], ahead: Sequence[Ints], rank: Sequence[int], filling: tuple[int, ...]
) -> Rules:
    """Rules with one order of precedence and one way to fill gaps for all phases and devices."""
    p = len(alive[0])
    everywhere = (np.full((3, p), number) for number in filling)
    return Rules(np.array(alive), np.array(ahead), np.tile(rank, (3, p, 1)), *everywhere)


def _room(problem: OrderProblem) -> Ints:
    """How many pieces each device can hold at most, by number and by bytes."""
    tables = problem.tables
    smallest = np.maximum(tables.takes[1, 3 * tables.stages_of], 1).min(axis=(1, 2))
    room = np.minimum(tables.limits[0], tables.limits[1] // smallest)
    return np.array(np.clip(room, 1, problem.chunks * problem.n_microbatches), np.int64)


def _ranks(chunks: int) -> list[tuple[int, ...]]:
    """Which pass goes first, by (chunk, kind): backwards, then late chunks, and variants."""
    if chunks == 1:
        return [(1, 0), (0, 1)]
    late = range(chunks - 1, -1, -1)  # of each chunk, how many come after it
    return [
        tuple(x for c in late for x in (chunks + c, c)),
        tuple(x for c in late for x in (2 * c + 1, 2 * c)),
        tuple(x for c in late for x in (2 * chunks - 1 - c, c)),
    ]


def mutated(rules: Rules, rng: np.random.Generator) -> Rules:
    """The rules with one to three numbers changed, in one phase or in all."""
    found = Rules(*(table.copy() for table in rules))
    _, p, chunks = rules.alive.shape
    for _ in range(rng.integers(1, 4)):
        kind, d, c, g = (int(rng.integers(n)) for n in (8, p, chunks, 5))
        phases = slice(None) if g > 2 else slice(g, g + 1)
        many = slice(d, d + 1 if rng.integers(2) else min(p, d + int(rng.integers(1, p + 1))))
        if kind < 5:
            step = int(rng.choice([-1, 1]))
            at = phases, many, c
            if rng.integers(3) == 0 and (chunks == 1 or rng.integers(4) == 0):
                ahead = np.minimum(found.ahead[at], found.alive[at] + 1)
                found.ahead[at] = np.maximum(1, ahead + step)
                continue
            found.alive[at] = np.maximum(1, found.alive[at] + step)
            if chunks > 1 and rng.integers(2):
                other = int(rng.integers(chunks))
                if other != c:
                    at = phases, many, other
                    found.alive[at] = np.maximum(1, found.alive[at] - step)
        elif kind == 5:
            found.rank[phases, many] = rng.permutation(2 * chunks)
        else:
            which = int(rng.integers(3))
            table = (found.patience, found.courtesy, found.backlog)[which]
            table[phases, many] = int(rng.choice(_CHANGES[which]))
    return found
