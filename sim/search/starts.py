"""Orders to start from: families that fit, rules, the paper's blocks, and computed blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.extras import imported
from ..engine.costs_changed import typical
from ..families import FAMILIES
from ..schedule.ir import mechanisms
from .orders.lengthen import longer
from .orders.list_scheduling import list_scheduled, listed
from .orders.problem import Order, OrderProblem
from .orders.replay import within
from .placement import Placement
from .settings import budget
from .settings.run_options import RunOptions

if TYPE_CHECKING:
    from .periodic.smallest_interval import ComputedBlock


@dataclass(frozen=True, eq=False)
class Start:
    """An order (or none), what made it, and the computed block if that is what it comes from."""

    order: Order | None
    method: str
    block: ComputedBlock | None = None


def starts(
    problem: OrderProblem, placement: Placement, *, seconds: float, run: RunOptions
) -> Iterator[Start]:
    """Orders within the limits, one after the other, in about so many seconds."""
    if run.use("families"):
        yield from of_families(problem, placement)
    imported("numba", "a search")  # plain Python would not come to an end
    if run.use("rules"):
        yield from of_rules(problem, seconds=budget.RULES * seconds, run=run)
    if run.use("computed-block"):
        yield from of_computed_block(problem, seconds=budget.COMPUTED_BLOCK * seconds, run=run)
    if run.use("unit-blocks"):
        share = budget.UNIT_BLOCKS * seconds
        yield from of_unit_blocks(problem, placement, seconds=share, run=run)


def simple_starts(
    problem: OrderProblem, placement: Placement, *, seconds: float, run: RunOptions
) -> Iterator[Start]:
    """Those of `starts` that look at the cost of every microbatch."""
    if run.use("families"):
        yield from of_families(problem, placement)
    if run.use("rules"):
        yield from of_rules(problem, seconds=seconds, run=run)


def of_families(problem: OrderProblem, placement: Placement) -> Iterator[Start]:
    """The named schedules of split or fused passes on this placement that keep the limits."""
    named = {"straight": "straight", "loop": "loop", "v": "V"}[placement]
    for family in FAMILIES.values():
        if family.placement != named:
            continue
        options = {"v": problem.chunks} if "v" in family.options else {}
        with suppress(ValueError):
            schedule = family(problem.n_devices, problem.n_microbatches, **options)
            order = None if mechanisms(schedule) else problem.order(schedule)
            if order is not None and within(problem, order):
                yield Start(order, family.name)


def of_rules(problem: OrderProblem, *, seconds: float, run: RunOptions) -> Iterator[Start]:
    """List scheduling: the rules are looked for with few microbatches and used with all of them."""
    enough = 4 * problem.n_devices + 8
    if problem.n_microbatches <= 2 * enough or not run.use("lengthening"):
        for found in list_scheduled(problem, seconds=seconds, run=run):
            yield Start(found.order, "greedy")
        return
    small = problem.with_microbatches(enough)
    for found in list_scheduled(small, seconds=seconds, run=run):
        if whole := listed(problem, found.rules):
            yield Start(whole.order, "greedy")
        extended = longer(small, found.order, problem.n_microbatches)
        if extended is not None and within(problem, extended):
            yield Start(extended, "greedy")


def of_unit_blocks(
    problem: OrderProblem, placement: Placement, *, seconds: float, run: RunOptions
) -> Iterator[Start]:
    """The best of the paper's blocks, found with few microbatches and lengthened."""
    p, m = problem.n_devices, problem.n_microbatches
    sizes = sorted({min(m, 2 * p), min(m, 3 * p + 4)}) if run.use("lengthening") else [m]
    for size in sizes:
        small = problem.with_microbatches(size)
        order = unit_block(small, placement, seconds=seconds / len(sizes), run=run)
        if order is not None and size < m:
            order = longer(small, order, m)
        if order is not None and within(problem, order):
            yield Start(order, "adaptive block")


def unit_block(
    problem: OrderProblem, placement: Placement, *, seconds: float, run: RunOptions
) -> Order | None:
    """The best of the paper's blocks; None if trying all of them takes longer than there is."""
    from .orders.adaptive import adaptive

    p, m = problem.n_devices, problem.n_microbatches
    if placement == "loop" or seconds < budget.SECONDS_PER_BLOCK * p**3 * m:
        return None
    schedule = adaptive(
        p, m, typical(problem.costs), placement=placement, memory_limit=problem.shares,
        memory_bytes=problem.memory_bytes, clock=problem.clock, time_limit=seconds, run=run,
    )  # fmt: skip
    return problem.order(schedule)


def of_computed_block(problem: OrderProblem, *, seconds: float, run: RunOptions) -> Iterator[Start]:
    """The block with the smallest interval under the limit, repeated for every microbatch."""
    block = computed_block(problem, seconds=seconds, run=run)
    if block is not None:
        order = from_block(problem, block)
        yield Start(order, "computed block", block if problem.alike else None)
        if problem.alike:
            share = budget.BLOCK_WITH_ENDS * seconds
            yield Start(with_ends(problem, block, seconds=share, run=run), "computed block + ends")


def computed_block(
    problem: OrderProblem, *, seconds: float, run: RunOptions
) -> ComputedBlock | None:
    """The block with the smallest interval under the limits; None for times of too many digits."""
    from .periodic.smallest_interval import smallest_interval

    with suppress(OverflowError):
        return smallest_interval(
            problem.placement, typical(problem.costs), memory_limit=problem.shares,
            memory_bytes=problem.memory_bytes, microbatches_per_period=None, time_limit=seconds,
            seed=run.seed, workers=run.workers, effort=run.effort, without=run.without,
        )  # fmt: skip
    return None


def with_ends(
    problem: OrderProblem, block: ComputedBlock, *, seconds: float, run: RunOptions
) -> Order | None:
    """The block repeated, with the idle time of warm-up and cool-down filled."""
    from .periodic.block_schedule import block_schedule

    schedule = block_schedule(
        block, problem.n_microbatches, problem.costs, memory_limit=problem.shares,
        memory_bytes=problem.memory_bytes, clock=problem.clock, effort=run.effort,
        time_limit=seconds,
    )  # fmt: skip
    order = problem.order(schedule)
    return order if order is not None and within(problem, order) else None


def from_block(problem: OrderProblem, block: ComputedBlock) -> Order | None:
    """The block repeated, in order of time; None if that breaks the limits."""
    from .periodic.block_schedule import unrolled_block

    order = problem.codes(unrolled_block(block, typical(problem.costs), problem.n_microbatches))
    return order if within(problem, order) else None
