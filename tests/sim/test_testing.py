"""The public strategies reach what they promise, and `check_family` catches broken families."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from sim import FAMILIES, Costs, Family, InvalidSchedule, Schedule, simulate, validate
from sim.engine.costs_fit import fits
from sim.testing import check_family, clusters, costs, family_schedules, schedules, wild_schedules


@pytest.mark.parametrize(
    "sort",
    [
        lambda schedule: schedule.fused,
        lambda schedule: schedule.n_slices > 1,
        lambda schedule: schedule.n_stages > schedule.n_devices,
        lambda schedule: schedule.n_microbatches < schedule.n_devices,
        lambda schedule: (
            {op.kind for order in schedule.orders for op in order} == {"F", "B", "W", "BW"}
        ),
        lambda schedule: schedule.placement != tuple(sorted(schedule.placement)),
    ],
)
def test_wild_schedules_reach_every_sort_of_schedule(sort: Any) -> None:
    validate(find(wild_schedules(), sort))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_drawn(name: str) -> None:
    family = FAMILIES[name]
    assert find(family_schedules(families=[family]), lambda _: True).n_devices >= 1


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_costs_and_clusters_fit_their_schedule(schedule: Schedule, data: st.DataObject) -> None:
    found = data.draw(costs(schedule))
    fits(found, schedule)
    trace = simulate(schedule, found, data.draw(clusters(schedule)))
    assert len(trace.ops) == schedule.n_ops
    assert (trace.memory["live"] >= 0).all()


def test_costs_reach_slices_stages_and_bytes_that_b_gives_back() -> None:
    schedule = FAMILIES["seq1f1b"](2, 2, slices=2)
    for wanted in (
        lambda found: len(found.forward[0]) == 2 and found.forward[0][0] != found.forward[0][1],
        lambda found: found.forward[0] != found.forward[1],
        lambda found: min(row[0] for row in found.backward_bytes) < 0,
        lambda found: max(row[0] for row in found.backward_bytes) > 0,
        lambda found: found.fused_backward is not None,
    ):
        assert isinstance(find(costs(schedule), wanted), Costs)


def broken(**changes: Any) -> Family:
    return replace(FAMILIES["1f1b"], name="broken", **changes)


def without_the_last_pass(p: int, m: int) -> Schedule:
    schedule = FAMILIES["1f1b"](p, m)
    return replace(schedule, orders=(schedule.orders[0][:-1], *schedule.orders[1:]))


def one_microbatch_more(p: int, m: int) -> Schedule:
    return FAMILIES["1f1b"](p, m + (m >= 7))


def stuck_from_three_devices_on(p: int, m: int) -> Schedule:
    schedule = FAMILIES["1f1b"](p, m)
    if p < 3 or m < 2:
        return schedule
    first, *others = schedule.orders
    # F0 BW0 before F1: but device 1 wants F1 before it ever runs its BW0.
    return replace(schedule, orders=((first[0], *first[p - 1 :], *first[1 : p - 1]), *others))


def only_two_stages_per_device_work(p: int, m: int, *, v: int = 2) -> Schedule:
    schedule = FAMILIES["interleaved"](p, m, v=v)
    return schedule if v == 2 else replace(schedule, orders=schedule.orders[::-1])


def test_a_plain_function_is_checked_with_the_options_it_takes() -> None:
    check_family(FAMILIES["interleaved"].build, max_examples=20)
    with pytest.raises(InvalidSchedule, match="is missing"):
        check_family(without_the_last_pass)
    with pytest.raises(InvalidSchedule, match="belongs on device"):
        check_family(only_two_stages_per_device_work)


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        (broken(build=without_the_last_pass), InvalidSchedule, "is missing"),
        (broken(build=one_microbatch_more), AssertionError, "."),
        (broken(build=stuck_from_three_devices_on), InvalidSchedule, "deadlock|comes before"),
        (broken(peak="p"), AssertionError, "peak is"),
        (broken(bubble="p*(F+B+W)"), AssertionError, "bubble is"),
        (broken(bubble="(p-1)*(F+B-W)", exact_when="F == B == W"), AssertionError, "bubble is"),
    ],
)
def test_a_broken_family_is_caught(family: Family, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_family(family, max_examples=60)
