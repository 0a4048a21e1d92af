"""List scheduling by rules, and a search for the rules: the first orders, thousands per second.

A rule set says how many microbatches each chunk of each device may have alive, which ready pass
goes first, and when a device fills a gap with W. The orders it makes are periodic by themselves,
so changing one number moves the whole steady state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..compiled import Ints
from ..effort import Effort
from .problem import Letters, Problem
from .replay import clocks, list_order
from .warm_up import fitting_warm_ups

LOOKS_PER_PASS = 3
"""Work of choosing a pass by rules, in played passes."""


@dataclass(frozen=True, eq=False)
class Rules:
    """What `list_order` goes by; see there: numbers per phase and device.

    Shapes `(3, p, 2 * chunks)`, `(3, p, 2 * chunks)`, `(3, p, 3)`.
    """

    caps: Ints
    rank: Ints
    look: Ints


@dataclass(frozen=True, eq=False)
class Found:
    """An order, its value in ticks of the problem, what made it, and the sum of all ends."""

    letters: Letters
    value: int
    method: str
    rules: Rules | None = None
    ends: int = 0


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
    clock, ends = _played(q, order)
    return Found(order, clock, "greedy", rules, ends)


def value(problem: Problem, letters: Letters) -> int:
    """The clock of an order in ticks of the problem."""
    return _played(problem, letters)[0]


def _played(problem: Problem, letters: Letters) -> tuple[int, int]:
    """The clock of an order, and the sum of the ends of all its passes."""
    q = problem
    end = np.zeros((q.duration.size, q.n_microbatches), np.int64)
    both = clocks(
        letters, q.n_microbatches, q.duration, q.wait_on, q.delay, q.near, end, np.zeros_like(end)
    )
    return int(both[q.clock == "longest_stage"]), int(end.sum())


def greedy(
    problem: Problem,
    *,
    seconds: float,
    seed: int = 0,
    target: int = 0,
    effort: Effort | None = None,
    without: Collection[str] = (),
) -> list[Found]:
    """Good orders found by a sweep over simple rules and a hill climb on the best of them.

    Best first; empty if no rules get through. Stops early at `target` (a lower bound). effort: what
    `seconds` are counted by. without: methods not to use ("warm-ups").
    """
    effort = effort or Effort()
    until = effort.now() + seconds
    work = LOOKS_PER_PASS * 3 * problem.n_stages * problem.n_microbatches
    rng = np.random.default_rng(seed)
    pool: list[tuple[tuple[int, int], Rules, Found]] = []
    for rules in sweep(problem, without):
        effort.played(work)
        if found := listed(problem, rules):
            pool.append(((found.value, found.ends), rules, found))
            if found.value <= target:
                break
        if effort.now() > until - seconds / 2 and pool:
            break
    pool.sort(key=lambda entry: entry[0])
    pool = pool[:8]
    if not pool:
        return []
    while effort.now() < until and pool[0][0][0] > target:
        which = min(int(rng.exponential(2)), len(pool) - 1)
        score, rules, _ = pool[which]
        changed = mutated(rules, rng, problem)
        effort.played(work)
        found = listed(problem, changed)
        if found and (new := (found.value, found.ends)) <= score:
            pool[which] = (new, changed, found)
            pool.sort(key=lambda entry: entry[0])
    return [entry[2] for entry in pool]


def sweep(problem: Problem, without: Collection[str] = ()) -> Iterator[Rules]:
    """Rule sets in which the caps change linearly from device 0 to the last one.

    First a coarse choice of all, then the finer ones; each for all phases, and for the warm-up
    alone with nothing but the limit afterwards. Straight pipelines with much memory have their own
    rules before that.
    """
    p, chunks, m = problem.n_devices, problem.chunks, problem.n_microbatches
    room = _room(problem)
    top = int(room.max())
    if "warm-ups" not in without:
        yield from _ample(problem, room)
    looks = ((1000, 0, 9999), (0, 0, 9999), (1000, 1000, 9999), (1000, 500, 2), (1000, 1000, 1))
    coarse = {1, 2, 3, top // 4, top // 3, top // 2, 2 * top // 3, top - 1, top}
    line = np.linspace(0, 1, p)
    done: set[tuple[int, int]] = set()
    for ends in (coarse, range(1, min(top, 24) + 1)):
        levels = sorted(level for level in set(ends) if 1 <= level <= top)
        pairs = [(a, b) for a in levels for b in levels if (a, b) not in done]
        done.update(pairs)
        for look in looks:
            for rank in _ranks(chunks):
                for low, high in pairs:
                    last = np.clip(np.round(low + (high - low) * line).astype(np.int64), 1, room)
                    caps = last[:, None]
                    if chunks > 1:
                        last = np.minimum(last, np.maximum(1, room - (chunks - 1)))
                        rest = np.maximum(1, (room - last) // (chunks - 1))
                        caps = np.repeat(rest[:, None], chunks, 1)
                        caps[:, -1] = last
                    free = np.repeat(np.maximum(1, room - (chunks - 1))[:, None], chunks, 1)
                    any_number = np.full_like(caps, m)
                    ranks = np.array([[rank] * p] * 3)
                    looks_of = np.array([[look] * p] * 3)
                    for later in (caps, free):
                        both = np.array([caps, later, later])
                        yield Rules(
                            np.concatenate([both, np.array([any_number] * 3)], 2), ranks, looks_of
                        )
                    if chunks == 1:  # late devices put off W, so that what they send comes early
                        ahead = np.array([np.concatenate([any_number, caps], 1)] * 3)
                        yield Rules(ahead, ranks, looks_of)


def _ample(problem: Problem, room: Ints) -> Iterator[Rules]:
    """Rules with a warm-up that (almost) never idles, and then fewer microbatches under way.

    W runs when nothing else can, so that device after device keeps some back for the cool-down.
    """
    p, m, top = problem.n_devices, problem.n_microbatches, int(room.max())
    line = np.linspace(0, 1, p)
    levels = sorted({1, 2, 3, *(top * part // 12 for part in (3, 4, 6, 8)), top - 1, top} - {0})
    any_number = np.full(p, m)
    warm_ups = fitting_warm_ups(problem, room)
    for patience, rank in product((0, 500, 1000), _ranks(1)):
        for low, high, warm in product(levels, levels, warm_ups):
            later = np.round(low + (high - low) * line).astype(np.int64)
            caps = [np.stack([any_number, number], 1) for number in (warm, later, later)]
            ranks, looks = [[rank] * p] * 3, [[(patience, 0, 9999)] * p] * 3
            yield Rules(np.array(caps), np.array(ranks), np.array(looks))


def _room(problem: Problem) -> Ints:
    """How many pieces each device can hold at most, by number and by bytes."""
    m, chunks = problem.n_microbatches, problem.chunks
    smallest = np.array(
        [min(max(int(problem.takes[1, 3 * s]), 1) for s in row) for row in problem.stages_of]
    )
    room = np.minimum(problem.limits[0], problem.limits[1] // smallest)
    return np.array(np.clip(room, 1, chunks * m), np.int64)


def _ranks(chunks: int) -> list[tuple[int, ...]]:
    """Which pass goes first, by (chunk, kind): backwards, then late chunks, and variants."""
    if chunks == 1:
        return [(1, 0), (0, 1)]
    late_first = tuple(2 * (chunks - 1 - c) + 0 for c in range(chunks))
    backward = [late_first[c] // 2 for c in range(chunks)]
    return [
        tuple(x for c in range(chunks) for x in (chunks + backward[c], backward[c])),
        tuple(x for c in range(chunks) for x in (2 * backward[c] + 1, 2 * backward[c])),
        tuple(x for c in range(chunks) for x in (chunks + chunks - 1 - backward[c], backward[c])),
    ]


def mutated(rules: Rules, rng: np.random.Generator, problem: Problem) -> Rules:
    """The rules with one to three numbers changed, in one phase or in all."""
    caps, rank, look = rules.caps.copy(), rules.rank.copy(), rules.look.copy()
    p, chunks = caps.shape[1], caps.shape[2] // 2
    for _ in range(rng.integers(1, 4)):
        kind, d, c, g = (int(rng.integers(n)) for n in (8, p, chunks, 5))
        phases = slice(None) if g > 2 else slice(g, g + 1)
        last = d + 1 if rng.integers(2) else min(p, d + int(rng.integers(1, p + 1)))
        many = slice(d, last)
        if kind < 5:
            step = int(rng.choice([-1, 1]))
            if rng.integers(3) == 0 and (chunks == 1 or rng.integers(4) == 0):
                ahead = np.minimum(caps[phases, many, chunks + c], caps[phases, many, c] + 1)
                caps[phases, many, chunks + c] = np.maximum(1, ahead + step)
                continue
            caps[phases, many, c] = np.maximum(1, caps[phases, many, c] + step)
            if chunks > 1 and rng.integers(2):
                other = int(rng.integers(chunks))
                if other != c:
                    caps[phases, many, other] = np.maximum(1, caps[phases, many, other] - step)
        elif kind == 5:
            rank[phases, many] = rng.permutation(2 * chunks)
        else:
            which = int(rng.integers(3))
            choices = ((0, 200, 500, 800, 1000, 1200), (0, 0, 200, 500, 1000, 1500),
                       (1, 2, 3, 4, 9999, 9999))[which]  # fmt: skip
            look[phases, many, which] = int(rng.choice(choices))
    return replace(rules, caps=caps, rank=rank, look=look)
