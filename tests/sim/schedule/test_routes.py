"""Several placements of the same stages: microbatches in two directions at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from sim import (
    Costs,
    InvalidSchedule,
    Op,
    Schedule,
    from_json,
    gantt,
    gantt_svg,
    makespan,
    mechanisms,
    parse_op,
    peak_activations,
    peak_bytes,
    recomputed,
    simulate,
    to_json,
    validate,
)
from sim.schedule.torch_csv import to_torch_csv
from sim.testing import wild_schedules

ROWS = (
    "F0@0 F1@1 BW1@1 BW0@0",
    "F1@0 F0@1 BW0@1 BW1@0",
)
BOTH = Schedule(
    (0, 1), tuple(tuple(map(parse_op, row.split())) for row in ROWS), 2,
    name="both", routes=((1, 0),), follows=(0, 1),
)  # fmt: skip
"""Microbatch 0 goes down, 1 up: device 0 holds stage 0 for the one and stage 1 for the other."""


def test_two_directions_fill_each_others_waits() -> None:
    """F=B=W=1: both run their F, then the other's F, its BW, and their own BW: 1+1+2+2."""
    validate(BOTH)
    trace = simulate(BOTH, Costs.uniform(BOTH))
    assert makespan(trace) == 6
    assert BOTH.stages_of == ((0, 1), (0, 1))


def test_a_share_falls_into_as_many_pieces_as_the_direction_with_most_stages_there() -> None:
    uneven = Schedule((0, 0, 1), ((), ()), 2, routes=((1, 1, 0),), follows=(0, 1))
    assert [uneven.pieces(device) for device in range(2)] == [2, 2]


def test_each_microbatch_is_at_home_on_the_route_it_follows() -> None:
    three = Schedule((0, 1, 2), ((),) * 3, 3, routes=((2, 1, 0), (1, 2, 0)), follows=(0, 1, 2))
    homes = [[three.home(stage, i) for stage in range(3)] for i in range(3)]
    assert homes == [[0, 1, 2], [2, 1, 0], [1, 2, 0]]


def test_what_crosses_goes_the_way_of_its_microbatch() -> None:
    trace = simulate(BOTH, Costs.uniform(BOTH, send=1, boundary_bytes=3))
    ways = trace.transfers[["value", "stage", "microbatch", "source", "destination"]]
    assert sorted(map(tuple, ways.to_numpy().tolist())) == [
        ("activation", 0, 0, 0, 1), ("activation", 0, 1, 1, 0),
        ("gradient", 1, 0, 1, 0), ("gradient", 1, 1, 0, 1),
    ]  # fmt: skip


def test_replicas_of_weights_are_held_on_both_devices() -> None:
    """A device's share of a microbatch is one stage of two, whichever way it goes."""
    prices = Costs.uniform(BOTH, forward=4, activation_bytes=10, static_bytes=100)
    assert prices.forward == ((4,), (4,))
    trace = simulate(BOTH, prices)
    assert peak_activations(BOTH) == (2, 2)
    assert peak_bytes(trace) == (2 * 100 + 2 * 10,) * 2


def test_directions_have_shades_of_their_own() -> None:
    figure = gantt(simulate(BOTH, Costs.uniform(BOTH)))
    assert {part.name for part in figure.data} == {
        "forward 0", "forward 1", "full backward 0", "full backward 1",
    }  # fmt: skip


def test_a_still_picture_tells_directions_apart() -> None:
    trace = simulate(BOTH, Costs.uniform(BOTH))
    assert "light: first route, dark: second" in gantt_svg({"both": trace})


def test_what_cannot_hold_two_directions_says_so() -> None:
    assert mechanisms(BOTH) == ("microbatches take 2 routes",)
    with pytest.raises(ValueError, match="in both microbatches take 2 routes, which a torch CSV"):
        to_torch_csv(BOTH)


@settings(max_examples=50, deadline=None)
@given(wild_schedules(directions=2))
def test_schedules_in_two_directions_survive_json_and_transforms(schedule: Schedule) -> None:
    validate(schedule)
    assert from_json(to_json(schedule)) == schedule
    validate(recomputed(schedule, place="in waits"))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (replace(BOTH, routes=((1,),)), "route 1 has 1 stages; it must have all 2"),
        (replace(BOTH, routes=((1, 2),)), "route 1 places stage 1 on device 2; devices are 0 to 1"),
        (replace(BOTH, follows=(0,)), "follows has 1 entries for 2 microbatches and 1 routes"),
        (replace(BOTH, routes=()), "follows has 2 entries for 2 microbatches and 0 routes"),
        (replace(BOTH, follows=(0, 2)), "microbatch 1 follows route 2; it must be one of 0 to 1"),
        (replace(BOTH, follows=(0, 0)), "no microbatch follows route 1; leave it out"),
        (
            replace(BOTH, follows=(1, 0)),
            "device 0, position 0: F0@0 belongs on device 1, where stage 0 is placed",
        ),
        (
            replace(BOTH, orders=((Op("F", 1, 1), *BOTH.orders[0][:1]), BOTH.orders[1])),
            "BW0@0 is missing",
        ),
    ],
)
def test_a_broken_direction_is_named(schedule: Schedule, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        validate(schedule)
    assert words in caught.value.sentence
