"""Orders to start from: families that fit, rules, the paper's blocks, and computed blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..base.extras import imported
from ..base.numbers import exact
from ..families import FAMILIES
from .effort import Effort
from .orders.lengthen import longer
from .orders.list_scheduling import greedy, listed
from .orders.problem import UNLIMITED, Letters, Problem
from .orders.replay import fits_memory
from .placement import Placement

if TYPE_CHECKING:
    from .periodic.smallest_interval import ComputedBlock


ENUMERATION = 3e-5
"""Seconds per device cubed and microbatch that trying all blocks of the paper's shape takes."""


class How(NamedTuple):
    """What all parts of a search go by: the clock, random numbers, threads, methods not to use."""

    effort: Effort
    seed: int
    workers: int
    without: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class Start:
    """An order (or none), what made it, and the computed block if that is what it comes from."""

    letters: Letters | None
    method: str
    block: ComputedBlock | None = None


def starts(problem: Problem, placement: Placement, *, seconds: float, how: How) -> Iterator[Start]:
    """Orders within the limits, one after the other, in about so many seconds."""
    if "families" not in how.without:
        yield from of_families(problem, placement)
    imported("numba", "a search")  # plain Python would not come to an end
    if "rules" not in how.without:
        yield from of_rules(problem, seconds=0.4 * seconds, how=how)
    if "computed-block" not in how.without:
        yield from of_computed_block(problem, seconds=0.3 * seconds, how=how)
    if "unit-blocks" not in how.without and placement != "loop":
        yield from of_unit_blocks(problem, placement, seconds=0.3 * seconds, how=how)


def within(problem: Problem, letters: Letters) -> bool:
    """Whether every device stays within its limits."""
    q = problem
    return all(fits_memory(letters[d], q.takes, q.frees, q.limits, d) for d in range(q.n_devices))


def of_families(problem: Problem, placement: Placement) -> Iterator[Start]:
    """The named schedules of split or fused passes on this placement that keep the limits."""
    named = {"straight": "straight", "loop": "loop", "v": "V"}[placement]
    for family in FAMILIES.values():
        if family.placement != named:
            continue
        options = {"v": problem.chunks} if "v" in family.options else {}
        with suppress(ValueError):
            schedule = family(problem.n_devices, problem.n_microbatches, **options)
            letters = problem.letters(schedule)
            if letters is not None and within(problem, letters):
                yield Start(letters, family.name)


def of_rules(problem: Problem, *, seconds: float, how: How) -> Iterator[Start]:
    """Greedy orders: the rules are looked for with few microbatches and used with all of them."""
    enough = 4 * problem.n_devices + 8
    options: Any = {
        "seconds": seconds, "seed": how.seed, "effort": how.effort, "without": how.without
    }  # fmt: skip
    if problem.n_microbatches <= 2 * enough or "lengthening" in how.without:
        yield from (Start(found.letters, found.method) for found in greedy(problem, **options))
        return
    small = problem.with_microbatches(enough)
    for found in greedy(small, **options):
        if found.rules is not None and (whole := listed(problem, found.rules)):
            yield Start(whole.letters, found.method)
        extended = longer(small, found.letters, problem.n_microbatches)
        if extended is not None and within(problem, extended):
            yield Start(extended, found.method)


def of_unit_blocks(
    problem: Problem, placement: Literal["v", "straight"], *, seconds: float, how: How
) -> Iterator[Start]:
    """The best of the paper's blocks, found with few microbatches and lengthened."""
    p, m = problem.n_devices, problem.n_microbatches
    sizes = sorted({min(m, 2 * p), min(m, 3 * p + 4)})
    if "lengthening" in how.without:
        sizes = [m]
    for size in sizes:
        small = problem.with_microbatches(size)
        letters = unit_block(small, placement, seconds=seconds / len(sizes), how=how)
        if letters is not None and size < m:
            letters = longer(small, letters, m)
        if letters is not None and within(problem, letters):
            yield Start(letters, "adaptive block")


def unit_block(
    problem: Problem, placement: Literal["v", "straight"], *, seconds: float, how: How
) -> Letters | None:
    """The best of the paper's blocks; None if trying all of them takes longer than there is."""
    from .orders.adaptive import adaptive

    p, m = problem.n_devices, problem.n_microbatches
    if seconds < ENUMERATION * p**3 * m:
        return None
    shares = None
    if problem.memory_bytes is None and problem.limits[0].min() < UNLIMITED:
        shares = [exact(int(limit)) / problem.chunks for limit in problem.limits[0]]
    schedule = adaptive(
        p, m, problem.costs, placement=placement, memory_limit=shares,
        memory_bytes=problem.memory_bytes, clock=problem.clock, time_limit=seconds, seed=how.seed,
        effort=how.effort, without=how.without,
    )  # fmt: skip
    return problem.letters(schedule)


def of_computed_block(problem: Problem, *, seconds: float, how: How) -> Iterator[Start]:
    """The block with the smallest interval under the limit, repeated for every microbatch."""
    block = computed_block(problem, seconds=seconds, how=how)
    if block is not None:
        yield Start(from_block(problem, block), "computed block", block)


def computed_block(problem: Problem, *, seconds: float, how: How) -> ComputedBlock | None:
    """The block with the smallest interval under the limits; None for times of too many digits."""
    from .periodic.smallest_interval import smallest_interval

    pieces = [int(limit) for limit in problem.limits[0]]
    shares = None
    if min(pieces) < UNLIMITED and problem.memory_bytes is None:
        shares = [exact(limit) / problem.chunks for limit in pieces]
    with suppress(OverflowError):
        return smallest_interval(
            problem.placement,
            problem.costs,
            memory_limit=shares,
            memory_bytes=problem.memory_bytes,
            microbatches_per_period=None,
            time_limit=seconds,
            seed=how.seed,
            workers=how.workers,
            effort=how.effort,
            without=how.without,
        )
    return None


def from_block(problem: Problem, block: ComputedBlock) -> Letters | None:
    """The block repeated, in order of time; None if that breaks the limits."""
    n = block.n_microbatches
    rows: list[list[int]] = []
    tables = [
        np.array(table, dtype=float) for table in (block.forward, block.backward, block.weight)
    ]
    rounds = np.arange(problem.n_microbatches)
    for stages in problem.stages_of.tolist():
        times, letters = [], []
        for stage in stages:
            for kind in range(3):
                times.append(tables[kind][rounds % n, stage] + float(block.period) * (rounds // n))
                letters.append(np.full(rounds.size, 3 * stage + kind))
        order = np.argsort(np.concatenate(times), kind="stable")
        rows.append(np.concatenate(letters)[order].tolist())
    found = np.array(rows, np.int32)
    return found if within(problem, found) else None
