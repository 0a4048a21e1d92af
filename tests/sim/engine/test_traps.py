"""Cases on which simulators of pipeline schedules have been caught out; each is small and exact."""

from __future__ import annotations

import sys

import pytest

from sim import (
    FAMILIES,
    Costs,
    Op,
    Schedule,
    Trace,
    longest_stage,
    makespan,
    parse_op,
    peak_activations,
    simulate,
    validate,
)

ANY_NUMBER = [name for name in FAMILIES if not name.startswith("2bp-")]
"""2BP is defined for one number of microbatches only, and refuses others."""
EVEN_DEVICES = ("chimera", "bitpipe", "dualpipe")
"""What runs two directions wants a device at either end, and as many on both sides."""


def in_chunks(name: str, p: int, m: int, **options: int) -> Trace:
    """A play in which F, B and W of every single pass take 1."""
    schedule = FAMILIES[name](p, m, **options)
    unit = len(schedule.stages_of[0]) * schedule.n_slices
    costs = Costs.uniform(schedule, forward=unit, backward=unit, weight=unit)
    return simulate(schedule, costs)


@pytest.mark.parametrize(
    ("name", "on_makespan", "on_longest_stage", "peak"),
    [
        ("gpipe", 117, 117, 32),
        ("1f1b", 117, 117, 8),
        ("zb-h1", 103, 103, 8),
        ("zb-h2", 103, 96, 15),
        ("interleaved", 213, 213, 23),
        ("looped-bfs", 213, 213, 64),
        ("zb-v", 199, 192, 16),
        ("v-half", 209, 209, 10),
        ("v-min", 219, 219, 8),
        ("1f1b-v", 225, 225, 12),
        ("seq1f1b", 213, 213, 9),
        ("dualpipe-v", 206, 206, 17),
    ],
)
def test_eight_devices_32_microbatches_unit_passes(
    name: str, on_makespan: int, on_longest_stage: int, peak: int
) -> None:
    trace = in_chunks(name, 8, 32)
    unit = len(trace.schedule.stages_of[0]) * trace.schedule.n_slices
    assert makespan(trace) == on_makespan
    assert longest_stage(trace) == on_longest_stage
    assert max(peak_activations(trace.schedule)) * unit == peak


@pytest.mark.parametrize("name", ANY_NUMBER)
@pytest.mark.parametrize(("p", "m"), [(8, 1), (8, 3), (8, 7), (4, 6), (4, 9), (1, 5), (3, 2)])
def test_few_and_odd_numbers_of_microbatches_are_served_in_full(name: str, p: int, m: int) -> None:
    if p % 2 and name in EVEN_DEVICES:
        with pytest.raises(ValueError, match=f"{name} takes an even number of devices, not {p}"):
            FAMILIES[name](p, m)
        return
    schedule = FAMILIES[name](p, m)
    validate(schedule)
    assert (schedule.n_devices, schedule.n_microbatches) == (p, m)
    forwards = [op for order in schedule.orders for op in order if op.kind == "F"]
    assert len(forwards) == schedule.n_stages * m * schedule.n_slices


@pytest.mark.parametrize("name", ANY_NUMBER)
def test_hundreds_of_microbatches_need_no_recursion(name: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(220)  # pytest itself takes some of it
    try:
        validate(FAMILIES[name](8, 300))
    finally:
        sys.setrecursionlimit(limit)


def test_a_pass_of_time_one_on_two_stages_takes_a_half_each_and_not_nothing() -> None:
    schedule = FAMILIES["interleaved"](4, 8, v=2)
    costs = Costs.uniform(schedule, forward=1, backward=1, weight=1)
    assert makespan(simulate(schedule, costs)) == 8 * 3 + 3 * 3 / 2


def test_an_edge_within_a_device_costs_no_latency() -> None:
    schedule = FAMILIES["zb-h1"](8, 32)
    assert makespan(simulate(schedule, Costs.uniform(schedule, send=0.5))) == 117
    turn = Schedule(
        placement=(0, 1, 1, 0),
        orders=(
            tuple(map(parse_op, ["F0@0", "F0@3", "B0@3", "W0@3", "B0@0", "W0@0"])),
            tuple(map(parse_op, ["F0@1", "F0@2", "B0@2", "W0@2", "B0@1", "W0@1"])),
        ),
        n_microbatches=1,
    )
    trace = simulate(turn, Costs.of(4, forward=1, backward=1, weight=1, send=10))
    # F0 ->10 F1 F2 ->10 F3 B3 ->10 B2 W2 B1 ->10 B0 W0: four crossings, none at the two turns.
    assert makespan(trace) == 40 + 10
    assert len(trace.transfers) == 4


def test_weight_passes_are_early_enough_that_zero_bubble_does_not_hoard_activations() -> None:
    for m in (8, 32, 64):
        assert max(peak_activations(FAMILIES["zb-h1"](8, m))) == 8
        assert max(peak_activations(FAMILIES["zb-v"](8, m))) <= 8


def test_a_fused_backward_takes_the_time_of_b_and_of_w() -> None:
    schedule = FAMILIES["1f1b"](8, 32)
    assert makespan(simulate(schedule, Costs.uniform(schedule))) == 117


@pytest.mark.parametrize(("p", "m"), [(1, 1), (2, 3), (4, 4), (8, 32)])
def test_interleaving_one_stage_per_device_is_1f1b(p: int, m: int) -> None:
    assert FAMILIES["interleaved"](p, m, v=1).orders == FAMILIES["1f1b"](p, m).orders


def test_the_last_device_of_1f1b_starts_with_microbatch_0_and_invents_none() -> None:
    assert FAMILIES["1f1b"](8, 3).orders[7] == (
        Op("F", 7, 0), Op("BW", 7, 0), Op("F", 7, 1), Op("BW", 7, 1), Op("F", 7, 2), Op("BW", 7, 2),
    )  # fmt: skip
