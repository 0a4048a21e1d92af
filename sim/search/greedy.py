"""List scheduling by rules, and a search for the rules: the first orders, thousands per second.

A rule set says how many microbatches each chunk of each device may have alive, which ready pass
goes first, and when a device fills a gap with W. The orders it makes are periodic by themselves,
so changing one number moves the whole steady state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ._compiled import Ints
from ._orders import clocks, list_order
from .problem import Letters, Problem


@dataclass(frozen=True, eq=False)
class Rules:
    """What `list_order` goes by; see there. Shapes `(p, chunks)`, `(p, 2 * chunks)`, `(p, 3)`."""

    caps: Ints
    rank: Ints
    look: Ints


@dataclass(frozen=True, eq=False)
class Found:
    """An order, its value in ticks of the problem, and what made it."""

    letters: Letters
    value: int
    method: str
    rules: Rules | None = None


def listed(problem: Problem, rules: Rules) -> Found | None:
    """The order that `rules` make, or None if they get stuck."""
    q = problem
    order = np.zeros((q.n_devices, 3 * q.chunks * q.n_microbatches), np.int32)
    arrays = q.stages_of, np.array(q.placement, np.int64), q.duration, q.wait_on, q.delay
    if not list_order(
        q.n_microbatches,
        *arrays,
        q.takes,
        q.frees,
        q.limits,
        rules.caps,
        rules.rank,
        rules.look,
        order,
    ):
        return None
    return Found(order, value(q, order), "greedy", rules)


def value(problem: Problem, letters: Letters) -> int:
    """The clock of an order in ticks of the problem."""
    q = problem
    end = np.zeros((q.duration.size, q.n_microbatches), np.int64)
    both = clocks(
        letters, q.n_microbatches, q.duration, q.wait_on, q.delay, q.near, end, np.zeros_like(end)
    )
    return int(both[q.clock == "longest_stage"])


def greedy(problem: Problem, *, seconds: float, seed: int = 0, target: int = 0) -> list[Found]:
    """Good orders found by a sweep over simple rules and a hill climb on the best of them.

    Best first; empty if no rules get through. Stops early at `target` (a lower bound).
    """
    until = time.monotonic() + seconds
    rng = np.random.default_rng(seed)
    pool: list[tuple[int, Rules, Found]] = []
    for rules in sweep(problem):
        if found := listed(problem, rules):
            pool.append((found.value, rules, found))
            if found.value <= target:
                break
        if time.monotonic() > until - seconds / 2 and pool:
            break
    pool.sort(key=lambda entry: entry[0])
    pool = pool[:8]
    if not pool:
        return []
    while time.monotonic() < until and pool[0][0] > target:
        which = min(int(rng.exponential(2)), len(pool) - 1)
        score, rules, _ = pool[which]
        changed = mutated(rules, rng, problem)
        found = listed(problem, changed)
        if found and found.value <= score:
            pool[which] = (found.value, changed, found)
            pool.sort(key=lambda entry: entry[0])
    return [entry[2] for entry in pool]


def sweep(problem: Problem) -> Iterator[Rules]:
    """Rule sets in which the caps change linearly from device 0 to the last one."""
    p, chunks, m = problem.n_devices, problem.chunks, problem.n_microbatches
    room = np.minimum(problem.limits[0], chunks * m)
    if (problem.limits[1] < 2**59).any():
        largest = np.maximum(1, problem.takes[1].reshape(-1, 3)[problem.stages_of].min(axis=(1, 2)))
        # pieces that would fit by bytes: only a guide for the caps
        kept = np.array(
            [[max(problem.takes[1, 3 * s], 1) for s in row] for row in problem.stages_of]
        )
        room = np.minimum(room, np.maximum(1, problem.limits[1] // kept.min(axis=1)))
        del largest
    top = int(room.max())
    ends = sorted(
        {1, 2, 3, top // 4, top // 3, top // 2, 2 * top // 3, top - 1, top} & set(range(1, top + 1))
    )
    if top <= 24:
        ends = list(range(1, top + 1))
    line = np.linspace(0, 1, p)
    for w_gap, wait, full in (
        (1000, 0, 9999),
        (0, 0, 9999),
        (500, 0, 9999),
        (1000, 500, 9999),
        (1000, 1000, 1),
    ):
        look = np.tile(np.array([w_gap, wait, full], np.int64), (p, 1))
        for rank in _ranks(chunks):
            ranks = np.tile(np.array(rank, np.int64), (p, 1))
            if chunks == 1:
                for low in ends:
                    caps = np.minimum(room, np.round(top + (low - top) * line).astype(np.int64))
                    yield Rules(np.maximum(1, caps)[:, None], ranks, look)
                continue
            for low in ends:
                for high in ends:
                    last = np.clip(np.round(low + (high - low) * line).astype(np.int64), 1, None)
                    last = np.minimum(last, np.maximum(1, room - (chunks - 1)))
                    rest = np.maximum(1, (room - last) // (chunks - 1))
                    caps = np.concatenate(
                        [np.repeat(rest[:, None], chunks - 1, 1), last[:, None]], 1
                    )
                    yield Rules(caps, ranks, look)


def _ranks(chunks: int) -> list[tuple[int, ...]]:
    """Which pass goes first, by (chunk, kind): backwards, then late chunks, and variants."""
    late_first = tuple(2 * (chunks - 1 - c) + 0 for c in range(chunks))
    backward = [late_first[c] // 2 for c in range(chunks)]
    return [
        tuple(x for c in range(chunks) for x in (chunks + backward[c], backward[c])),
        tuple(x for c in range(chunks) for x in (2 * backward[c] + 1, 2 * backward[c])),
        tuple(x for c in range(chunks) for x in (chunks + chunks - 1 - backward[c], backward[c])),
    ]


def mutated(rules: Rules, rng: np.random.Generator, problem: Problem) -> Rules:
    """The rules with one to three numbers changed."""
    caps, rank, look = rules.caps.copy(), rules.rank.copy(), rules.look.copy()
    p, chunks = caps.shape
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(8)
        d = int(rng.integers(p))
        many = (
            slice(d, min(p, d + int(rng.integers(1, p + 1))))
            if rng.integers(2)
            else slice(d, d + 1)
        )
        c = int(rng.integers(chunks))
        if kind < 4:
            step = int(rng.choice([-1, 1]))
            caps[many, c] = np.maximum(1, caps[many, c] + step)
            if chunks > 1 and rng.integers(3):
                other = int(rng.integers(chunks))
                if other != c:
                    caps[many, other] = np.maximum(1, caps[many, other] - step)
        elif kind == 4:
            rank[many] = rng.permutation(2 * chunks)
        elif kind == 5:
            look[many, 0] = int(rng.integers(0, 1300))
        elif kind == 6:
            look[many, 1] = int(rng.choice([0, 0, 200, 500, 800, 1000, 1500]))
        else:
            look[many, 2] = int(rng.choice([1, 2, 3, 4, 9999, 9999]))
    return replace(rules, caps=caps, rank=rank, look=look)
