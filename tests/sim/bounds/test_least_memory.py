"""The least bytes a device needs, and limits that are met to the byte or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim import FAMILIES, Costs, Schedule
from sim.bounds.least_memory import check_limits, least_bytes
from sim.engine.recomputed import recomputed

COSTS = Costs.of(2, forward=1, backward=1, weight=1, activation_bytes=10, static_bytes=5)


def test_where_levers_are_pulled_a_device_needs_what_its_largest_pass_takes() -> None:
    """5 static bytes. Stage 0 recomputes: F keeps a tenth of 10, R takes the other 9. Stage 1 does
    not: F takes 10."""
    schedule = recomputed(FAMILIES["1f1b"](2, 2), [0])
    costs = replace(COSTS, recompute_keeps=0.1)
    assert [least_bytes(schedule, costs, device) for device in (0, 1)] == [5 + 9, 5 + 10]


def test_a_device_without_a_pass_needs_what_is_static() -> None:
    found = recomputed(FAMILIES["1f1b"](2, 2), [0])
    idle = Schedule(found.placement, (found.orders[0], ()), 2)
    assert least_bytes(idle, COSTS, 1) == 5


def test_a_whole_number_of_bytes_has_no_tolerance() -> None:
    """A third may be given as the float nearest to it; a byte less than is needed is too little,
    however many there are."""
    schedule = FAMILIES["1f1b"](1, 1)
    need = 10**10 + 1
    costs = Costs.of(1, forward=1, backward=1, weight=1, activation_bytes=need)
    check_limits(schedule, costs, None, need)
    with pytest.raises(ValueError, match="device 0 holds 10000000001"):
        check_limits(schedule, costs, None, need - 1)


def test_every_slice_of_a_lone_stage_counts() -> None:
    """Both slices keep 10. B of the later one comes first and takes nothing more, and its W gives
    10 back; B of the earlier one takes 15 more."""
    schedule = FAMILIES["seq1f1b-zb"](2, 1)
    costs = Costs.of(
        2, forward=1, backward=1, weight=1, activation_bytes=[[10, 10]] * 2,
        backward_bytes=[[15, 0]] * 2, static_bytes=100,
    )  # fmt: skip
    assert [least_bytes(schedule, costs, device) for device in range(2)] == [125, 125]


def test_of_devices_that_are_too_small_the_one_that_needs_most_is_named() -> None:
    schedule = FAMILIES["1f1b"](3, 2)
    costs = Costs.of(3, forward=1, backward=1, weight=1, static_bytes=(5, 30, 20))
    with pytest.raises(ValueError, match="limit of 10 bytes: device 1 holds 30 even with one"):
        check_limits(schedule, costs, None, 10)
