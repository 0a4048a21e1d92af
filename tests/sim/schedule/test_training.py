"""Which passes exist: frozen stages, frozen weights inside a trained chain, forward only."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    Costs,
    InvalidSchedule,
    Op,
    Schedule,
    bubble,
    from_json,
    makespan,
    peak_activations,
    simulate,
    to_json,
    validate,
)
from sim.schedule.training import forward_only, frozen, frozen_weights
from sim.testing import schedules


@pytest.mark.parametrize(("send", "time"), [(0, 31), (1, 44), (5, 96)])
def test_a_frozen_first_stage_leaves_the_pipeline_of_the_others_behind_one_forward(
    send: int, time: int
) -> None:
    """F=B=W=1: 1 + send, then 1F1B on three devices, which takes 30 at send 0."""
    schedule = frozen(FAMILIES["1f1b"](4, 8), [0])
    rest = FAMILIES["1f1b"](3, 8)
    alone = makespan(simulate(rest, Costs.uniform(rest, send=send)))
    assert makespan(simulate(schedule, Costs.uniform(schedule, send=send))) == time
    assert time == 1 + send + alone


def test_forwards_alone_fill_the_pipeline_once() -> None:
    """p - 1 + m = 11 at p = 4, m = 8; 3 of them idle on each device."""
    schedule = forward_only(FAMILIES["1f1b"](4, 8))
    trace = simulate(schedule, Costs.uniform(schedule, activation_bytes=1))
    assert makespan(trace) == 11
    assert bubble(trace) == pytest.approx(3 / 11)
    assert peak_activations(schedule) == (0, 0, 0, 0)
    assert trace.memory["live"].max() == 0
    assert set(trace.transfers["value"]) == {"activation"}


def test_a_gradient_passes_through_frozen_stages_only_where_somebody_needs_it() -> None:
    schedule = frozen(FAMILIES["zb-h1"](4, 4), [0, 2])
    kinds = [sorted(Counter(op.kind for op in order)) for order in schedule.orders]
    assert kinds == [["F"], ["B", "F", "W"], ["B", "F"], ["B", "F", "W"]]
    trace = simulate(schedule, Costs.uniform(schedule))
    gradients = trace.transfers[trace.transfers["value"] == "gradient"]
    assert set(gradients["stage"]) == {2, 3}  # none goes to stage 0


def test_adapters_need_a_gradient_on_every_stage_but_no_weight_pass() -> None:
    schedule = frozen_weights(FAMILIES["1f1b"](2, 3), [0, 1])
    assert str(schedule).splitlines() == [
        "1f1b: 2 devices, 2 stages, 3 microbatches; stages 0-1 train adapters alone",
        "device 0 | F0 F1 B0 F2 B1 B2",
        "device 1 | F0 B0 F1 B1 F2 B2",
    ]
    # F + B = 3 a microbatch and device, (m + p - 1) times; B gives all back: at most two live
    trace = simulate(schedule, Costs.uniform(schedule, backward=2, activation_bytes=5))
    assert makespan(trace) == 12
    assert peak_activations(schedule) == (2, 1)
    assert trace.memory.groupby("device")["live"].max().tolist() == [10, 5]
    assert trace.memory.groupby("device")["live"].last().tolist() == [0, 0]


@settings(max_examples=100, deadline=None)
@given(schedules(), st.data())
def test_transforms_keep_a_valid_schedule_valid_and_the_order_of_what_is_left(
    schedule: Schedule, data: st.DataObject
) -> None:
    found = schedule
    for transform in data.draw(st.lists(st.sampled_from((frozen, frozen_weights)), max_size=2)):
        found = transform(found, sorted(data.draw(st.sets(st.integers(0, schedule.n_stages - 1)))))
    validate(found)
    assert from_json(to_json(found)) == found
    for before, after in zip(schedule.orders, found.orders, strict=True):
        renamed = [op._replace(kind="B") if op.kind == "BW" else op for op in before]
        places = [before.index(op) if op in before else renamed.index(op) for op in after]
        assert places == sorted({*places})


@settings(max_examples=50, deadline=None)
@given(schedules(), st.data())
def test_frozen_stages_may_be_named_at_once_or_one_by_one(
    schedule: Schedule, data: st.DataObject
) -> None:
    stages = data.draw(st.lists(st.integers(0, schedule.n_stages - 1), max_size=3))
    one_by_one = schedule
    for stage in stages:
        one_by_one = frozen(one_by_one, [stage])
    assert one_by_one == frozen(schedule, stages)
    assert forward_only(one_by_one) == forward_only(schedule)


def test_a_schedule_that_trains_everything_is_written_as_before() -> None:
    schedule = FAMILIES["1f1b"](2, 2)
    said = replace(schedule, trains=("weights", "weights"))
    assert said == schedule
    assert hash(said) == hash(schedule)
    assert "trains" not in to_json(said)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            replace(FAMILIES["1f1b"](2, 2), trains=("nothing", "weights")),
            "1f1b: device 0, position 2: BW0@0 is not needed: nothing up to stage 0 trains",
        ),
        (
            replace(FAMILIES["1f1b"](2, 1), trains=("adapters", "weights")),
            "BW0@0 is not needed: stage 0 trains no weights; its backward is a B",
        ),
        (
            replace(FAMILIES["zb-h1"](2, 1), trains=("adapters", "weights")),
            "W0@0 is not needed: stage 0 trains no weights",
        ),
        (
            replace(frozen_weights(FAMILIES["1f1b"](1, 1), [0]), orders=((Op("F", 0, 0),),)),
            "B0@0 is missing; stage 0 trains no weights, its backward is one B",
        ),
        (
            replace(frozen(FAMILIES["1f1b"](2, 1), [0]), trains=()),
            "BW0@0 is missing; a backward is one BW, or one B and one W",
        ),
        (
            replace(FAMILIES["1f1b"](2, 1), trains=("nothing",)),
            "trains has 1 entries for 2 stages",
        ),
        (
            replace(FAMILIES["1f1b"](2, 1), trains=("weights", "all")),  # type: ignore[arg-type]
            "stage 1 trains 'all'; it must be one of weights, adapters, nothing",
        ),
    ],
)
def test_a_backward_that_nobody_needs_or_somebody_lacks_is_named(
    schedule: Schedule, words: str
) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        validate(schedule)
    assert words in caught.value.sentence


@pytest.mark.parametrize("stages", [[4], [-1], [0.5]])
def test_stages_that_are_not_there_cannot_be_frozen(stages: list[int]) -> None:
    with pytest.raises(ValueError, match="stage"):
        frozen(FAMILIES["1f1b"](4, 8), stages)
