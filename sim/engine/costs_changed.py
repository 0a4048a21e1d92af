"""Costs made of others: slower ones, the least on given devices, those of slices, typical ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..base.numbers import Number, checked, checked_type, exact, plain, scaled
from ..schedule.ir import Schedule
from .cost_tables import Table
from .costs import FIX, PER_PART, TABLES, Costs


def slower(costs: Costs, factors: Sequence[Number]) -> Costs:
    """The same costs with the times of stage s multiplied by `factors[s]`, shape `(n_stages,)`."""
    checked_type(costs, Costs, FIX)
    if len(factors) != costs.n_stages:
        raise ValueError(f"{len(factors)} factors for {costs.n_stages} stages: give one per stage")
    factors = [checked(factor, f"factor of stage {s}") for s, factor in enumerate(factors)]

    def stretched(table: Table | None) -> Table | None:
        return table and tuple(
            tuple(scaled(time, factor) for time in row)
            for row, factor in zip(table, factors, strict=True)
        )

    return replace(
        costs,
        forward=stretched(costs.forward) or (),
        backward=stretched(costs.backward) or (),
        weight=stretched(costs.weight) or (),
        fused_backward=stretched(costs.fused_backward),
        recompute=stretched(costs.recompute),
        all_to_all=stretched(costs.all_to_all) or (),
        all_to_all_backward=stretched(costs.all_to_all_backward),
    )


def at_best(costs: Costs, schedule: Schedule, factors: Sequence[Number]) -> Costs:
    """Costs that no play of `schedule` falls below where device d takes `factors[d]` times as long:
    each stage as on the fastest device that runs it. () where all factors are 1."""
    if all(factor == 1 for factor in factors):
        return costs
    found = slower(costs, least_factors(schedule, factors))
    return replace(
        found,
        vocabulary_scores=_of_parts(costs.vocabulary_scores, factors),
        vocabulary_gradients=_of_parts(costs.vocabulary_gradients, factors),
    )


def least_factors(schedule: Schedule, factors: Sequence[Number]) -> list[Number]:
    """Of the devices that run each stage the least factor, shape `(n_stages,)`; [] of ()."""
    homes = zip(schedule.placement, *schedule.routes, strict=True)
    return [min(factors[device] for device in stage) for stage in homes] if factors else []


def _of_parts(times: tuple[Number, ...], factors: Sequence[Number]) -> tuple[Number, ...]:
    """Times of S or T, one number per device; one may serve all."""
    each = times if len(times) > 1 else times * len(factors)
    if not any(each):
        return times
    return tuple(scaled(time, factor) for time, factor in zip(each, factors, strict=True))


def per_slice(costs: Costs, n_slices: int) -> Costs:
    """The costs of whole microbatches as those of slices of equal work: times and bytes of passes,
    and what crosses, by 1/n of them; latencies stay. Costs that tell slices apart stay as they are.
    """
    tables = {name: getattr(costs, name) or () for name in TABLES}
    if n_slices == 1 or any(len(row) > 1 for table in tables.values() for row in table):
        return costs
    share = Fraction(1, n_slices)
    cut: dict[str, Any] = {
        name: tuple((scaled(row[0], share),) for row in table)
        for name, table in tables.items()
        if table
    }
    for name in PER_PART:
        cut[name] = tuple(scaled(time, share) for time in getattr(costs, name))
    return replace(costs, **cut, logits_bytes=scaled(costs.logits_bytes, share))


def typical(costs: Costs) -> Costs:
    """Costs under which all microbatches are alike: times are the mean of these, bytes the most."""
    scale = costs.microbatch_scale
    if not scale:
        return costs
    factors = [[exact(costs.scale(i, s)) for i in range(len(scale))] for s in range(costs.n_stages)]
    mean = slower(costs, [plain(sum(row, Fraction(0)) / len(row)) for row in factors])
    most = [max(row) for row in factors]

    def larger(table: Table) -> Table:
        rows = zip(table, most, strict=False)  # a boundary has the factor of the stage before it
        return tuple(tuple(scaled(size, plain(factor)) for size in row) for row, factor in rows)

    return replace(
        mean,
        microbatch_scale=(),
        activation_bytes=larger(costs.activation_bytes),
        backward_bytes=larger(costs.backward_bytes),
        boundary_bytes=larger(costs.boundary_bytes),
    )
