"""The chains of the bounds go through what passes read, by `reads` and `writes`."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Op, Schedule, mechanisms, reads, writes
from sim.base.numbers import exact
from sim.bounds.chains import absolute
from sim.bounds.workload import PassType, workload_of
from sim.testing import costs, family_schedules

ALIKE = [
    family
    for family in FAMILIES.values()
    if not family.name.startswith(("2bp", "dualpipe")) and not mechanisms(family(4, 8))
]
"""Families in which all microbatches run the same passes on the same devices, one by one."""
cases = family_schedules(families=ALIKE).flatmap(
    lambda schedule: st.tuples(st.just(schedule), costs(schedule))
)


def alone(schedule: Schedule, prices: Costs) -> dict[Op, tuple[Fraction, Fraction]]:
    """Start and end of the passes of microbatch 0 if every pass had a device of its own."""
    waiting = [op for order in schedule.orders for op in order if op.microbatch == 0]
    written: dict[object, tuple[Fraction, Op]] = {}
    found: dict[Op, tuple[Fraction, Fraction]] = {}
    while waiting:
        op = next(op for op in waiting if all(value in written for value in reads(schedule, op)))
        start = Fraction(0)
        for value in reads(schedule, op):
            end, source = written[value]
            a, b = sorted((source.stage, op.stage))
            crosses = schedule.placement[a] != schedule.placement[b]
            start = max(start, end + (exact(prices.send[a]) if crosses else 0))
        found[op] = start, start + exact(prices.duration((op,)))
        written.update(dict.fromkeys(writes(schedule, op), (found[op][1], op)))
        waiting.remove(op)
    return found


@settings(deadline=None)
@given(cases)
def test_a_head_is_the_longest_way_to_a_pass(case: tuple[Schedule, Costs]) -> None:
    schedule, prices = case
    work = workload_of(schedule, prices)
    per_unit = work.ticks.per_unit
    found = {
        PassType(op.kind, op.stage, op.slice): start * per_unit
        for op, (start, _) in alone(schedule, prices).items()
    }
    if per_unit:  # else times are floats
        assert absolute(work)[0].head == found


@settings(deadline=None)
@given(cases)
def test_tails_mirror_heads(case: tuple[Schedule, Costs]) -> None:
    """A value is handed over in both directions: who reads it is who waits for it."""
    work = workload_of(*case)
    handed = {
        (source, reader, link.send)
        for reader in work.order
        for link in work.inputs[reader]
        for source in link.choices
    }
    assert handed == {
        (source, reader, link.send)
        for source in work.order
        for link in work.outputs[source]
        for reader in link.choices
    }


@settings(deadline=None)
@given(cases)
def test_the_way_of_a_microbatch_is_as_long_from_either_end(case: tuple[Schedule, Costs]) -> None:
    work = workload_of(*case)
    head, tail, *_ = absolute(work)[0]
    ways = [head[which] + work.latency[which] + tail[which] for which in work.order]
    ends = [head[which] + work.latency[which] for which in work.order]
    assert max(ways) == pytest.approx(max(ends), rel=1e-9)
