"""Schedules as objects and as text: dependencies, grids, JSON."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    InvalidSchedule,
    Op,
    Schedule,
    Value,
    from_json,
    grid,
    parse_op,
    reads,
    steps,
    to_json,
    validate,
    writes,
)
from sim.testing import schedules

TWO_STAGES = Schedule((0, 1), ((), ()), n_microbatches=2)
SLICED = Schedule((0, 1, 2), ((), (), ()), n_microbatches=2, n_slices=3)


def test_a_pass_is_written_as_kind_microbatch_at_stage() -> None:
    assert str(Op("F", 5, 3)) == "F3@5"
    assert str(Op("BW", 0, 12, 1)) == "BW12.1@0"


@given(
    st.builds(
        Op,
        st.sampled_from(("F", "B", "W", "BW")),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 99),
    )
)
def test_a_pass_is_read_back_from_its_text(op: Op) -> None:
    assert parse_op(str(op)) == op


@pytest.mark.parametrize(
    "text", ["", "F", "F3", "F3@", "@5", "f3@5", "I3@5", "F3@5 ", " F3@5", "F-1@5", "F3.@5",
             "F3@5x", "3F5", "WB3@5", "F\u0663@5", "F3@5\n", "F1e3@5", "F3@" + "9" * 5000],
)  # fmt: skip
def test_text_that_is_no_pass_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a pass: expected"):
        parse_op(text)


def test_a_forward_reads_the_activation_of_the_stage_before() -> None:
    assert reads(TWO_STAGES, Op("F", 0, 1)) == ()
    assert reads(TWO_STAGES, Op("F", 1, 1)) == (Value("activation", 0, 1),)
    assert set(writes(TWO_STAGES, Op("F", 0, 1))) == {
        Value("saved", 0, 1),
        Value("activation", 0, 1),
    }
    assert writes(TWO_STAGES, Op("F", 1, 1)) == (Value("saved", 1, 1),)


def test_a_backward_reads_what_its_forward_saved_and_the_gradient_of_the_stage_after() -> None:
    for kind in ("B", "BW"):
        assert reads(TWO_STAGES, Op(kind, 1, 0)) == (Value("saved", 1, 0),)
        assert set(reads(TWO_STAGES, Op(kind, 0, 0))) == {
            Value("saved", 0, 0),
            Value("gradient", 1, 0),
        }
    assert set(writes(TWO_STAGES, Op("B", 1, 0))) == {
        Value("pending", 1, 0),
        Value("gradient", 1, 0),
    }
    assert writes(TWO_STAGES, Op("BW", 0, 0)) == (Value("weight_gradient", 0, 0),)


def test_a_weight_pass_reads_what_its_own_backward_left_and_nothing_else() -> None:
    assert reads(SLICED, Op("W", 1, 1, 2)) == (Value("pending", 1, 1, 2),)
    assert writes(SLICED, Op("W", 1, 1, 2)) == (Value("weight_gradient", 1, 1, 2),)


def test_slices_pass_keys_and_values_up_and_their_gradients_down() -> None:
    assert Value("cache", 1, 0, 0) in reads(SLICED, Op("F", 1, 0, 1))
    assert Value("cache", 1, 0, 0) in writes(SLICED, Op("F", 1, 0, 0))
    assert Value("cache_gradient", 1, 0, 2) in reads(SLICED, Op("B", 1, 0, 1))
    assert Value("cache_gradient", 1, 0, 2) in writes(SLICED, Op("BW", 1, 0, 2))
    assert not [v for v in writes(SLICED, Op("F", 1, 0, 2)) if v.kind == "cache"]
    assert not [v for v in writes(SLICED, Op("B", 1, 0, 0)) if v.kind == "cache_gradient"]


@settings(max_examples=50, deadline=None)
@given(schedules())
def test_every_value_read_is_written_exactly_once(schedule: Schedule) -> None:
    ops = [op for order in schedule.orders for op in order]
    written = [value for op in ops for value in writes(schedule, op)]
    assert len(written) == len(set(written))
    read = {value for op in ops for value in reads(schedule, op)}
    assert read <= set(written)
    assert {value.kind for value in set(written) - read} <= {"weight_gradient"}


def test_the_grid_leaves_stages_out_where_every_device_holds_one() -> None:
    assert str(FAMILIES["1f1b"](2, 2)) == (
        "1f1b: 2 devices, 2 stages, 2 microbatches\n"
        "device 0 | F0 F1 BW0 BW1\n"
        "device 1 | F0 BW0 F1 BW1"
    )
    assert str(FAMILIES["interleaved"](1, 1)) == (
        "interleaved: 1 device, 2 stages, 1 microbatch\n"
        "device 0 | F0@0 F0@1 BW0@1 BW0@0"
    )  # fmt: skip


def test_the_grid_joins_fused_passes_and_counts_slices() -> None:
    order = Op("F", 0, 0), Op("F", 0, 1), Op("BW", 0, 0), Op("BW", 0, 1)
    schedule = Schedule((0,), (order,), 2, fused=(order[1:3],), name="pair")
    assert str(schedule).splitlines()[1] == "device 0 | F0 F1&BW0 BW1"
    assert list(steps(schedule, 0)) == [order[:1], order[1:3], order[3:]]
    assert "2 slices" in str(replace(schedule, n_slices=2))


def test_the_grid_around_a_spot_is_short() -> None:
    text = grid(FAMILIES["1f1b"](2, 100), mark=(1, 50), width=2)
    assert text.splitlines()[1:] == [
        "device 0 | ... BW23 F25 BW24 F26 BW25 ...",
        "device 1 | ... F24 BW24 >F25< BW25 F26 ...",
    ]


def test_a_broken_schedule_can_still_be_shown() -> None:
    order = (Op("X", 0, -1), ("not", "a", "pass"), None)  # type: ignore[arg-type]
    broken = Schedule((7,), (order,), -3, fused=((), (Op("F", 0, 0), Op("F", 0, 1))))  # type: ignore[arg-type]
    assert "X-1" in str(broken)
    assert str(Schedule((), (), 0)) == "schedule: 0 devices, 0 stages, 0 microbatches"


def test_schedules_are_frozen_and_equal_ones_hash_alike() -> None:
    one, two = FAMILIES["zb-h1"](4, 8), FAMILIES["zb-h1"](4, 8)
    assert one == two
    assert hash(one) == hash(two)
    assert len({one, two, FAMILIES["zb-h1"](4, 9)}) == 2
    with pytest.raises(FrozenInstanceError):
        one.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(one)) == one


def test_lists_and_numpy_integers_are_taken_for_what_they_mean() -> None:
    order = [Op("F", np.int64(0), np.int64(0)), Op("BW", 0, 0)]  # type: ignore[arg-type]
    loose = Schedule(np.array([0]), [order], np.int64(1))  # type: ignore[arg-type]
    strict = Schedule((0,), ((Op("F", 0, 0), Op("BW", 0, 0)),), 1)
    assert loose == strict
    assert hash(loose) == hash(strict)
    assert from_json(to_json(loose)) == strict


@settings(max_examples=60, deadline=None)
@given(schedules())
def test_json_gives_back_an_equal_schedule(schedule: Schedule) -> None:
    text = to_json(schedule)
    assert from_json(text) == schedule
    assert to_json(from_json(text)) == text


GOOD: dict[str, Any] = json.loads(to_json(FAMILIES["1f1b"](2, 2)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": None}, 'expected a JSON object with "format"'),
        ({"format": "pipebubble.costs/1"}, 'expected a JSON object with "format"'),
        ({"placement": None}, "'placement' is null: it must be a list of device numbers"),
        ({"placement": [0, "1"]}, 'placement[1] is "1": it must be a device number'),
        ({"placement": [0, 1.0]}, "placement[1] is 1.0: it must be a device number"),
        ({"placement": [0, True]}, "placement[1] is true: it must be a device number"),
        ({"placement": {"0": 1}}, "'placement' is {\"0\": 1}: it must be a list of device"),
        ({"n_microbatches": "2"}, "'n_microbatches' is \"2\": it must be a whole number"),
        ({"n_microbatches": 2.0}, "'n_microbatches' is 2.0: it must be a whole number"),
        ({"n_microbatches": True}, "'n_microbatches' is true: it must be a whole number"),
        ({"n_microbatches": "x" * 999}, "'n_microbatches' is \"xxx"),
        ({"n_microbatches": 10**300}, "it must be a whole number of at most 18 digits"),
        ({"placement": [10**300, 0]}, "placement[0] is 1000"),
        ({"n_slices": None}, "'n_slices' is null: it must be a whole number"),
        ({"name": 5}, "'name' is 5: it must be a string"),
        ({"orders": "F0@0"}, "'orders' is \"F0@0\": it must be a list of lists of passes"),
        ({"orders": ["F0@0"]}, 'orders[0] is "F0@0": it must be a list of passes'),
        ({"orders": [[{"kind": "F"}]]}, 'orders[0][0] is {"kind": "F"}: it must be a pass'),
        ({"orders": [["F0@0", "0F0"]]}, "orders[0][1]: '0F0' is not a pass"),
        ({"orders": [[], ["F0@0&"]]}, "orders[1][0]: '' is not a pass"),
    ],
)
def test_json_of_another_shape_gets_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^not a schedule: ") as caught:
        from_json(json.dumps({**GOOD, **change}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("key", [key for key in GOOD if key != "format"])
def test_json_without_a_key_gets_one_sentence(key: str) -> None:
    with pytest.raises(ValueError, match=f"not a schedule: '{key}' is missing: it must be"):
        from_json(json.dumps({name: value for name, value in GOOD.items() if name != key}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1, 2", "0F0,0B0", "null", "[]", '"text"', "7", "NaN", "[" * 100_000, "1" * 5000],
)
def test_text_that_is_no_json_object_gets_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not (JSON|a schedule): ") as caught:
        from_json(text)
    assert len(str(caught.value)) < 200
    assert "sys." not in str(caught.value)


def test_a_key_that_comes_twice_is_refused() -> None:
    text = to_json(FAMILIES["1f1b"](2, 2))
    twice = text.replace('"n_slices"', '"name": "other", "n_slices"')
    with pytest.raises(ValueError, match=r'^not JSON: the key "name" comes twice'):
        from_json(twice)


def test_a_number_of_thousands_of_digits_is_refused_in_our_words() -> None:
    text = to_json(FAMILIES["1f1b"](2, 2)).replace(": 2", ": " + "1" * 5000)
    with pytest.raises(ValueError, match="a number has 5000 digits: it must have at most 4000"):
        from_json(text)


def test_a_path_is_no_text() -> None:
    with pytest.raises(ValueError, match="expected JSON text, got a PurePosixPath"):
        from_json(PurePosixPath("schedule.json"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"), [("n_microbatches", -1), ("n_slices", 0), ("placement", (-1, 9))]
)
def test_numbers_out_of_range_are_read_and_left_to_validate(key: str, value: Any) -> None:
    found = from_json(json.dumps({**GOOD, key: value}))
    assert getattr(found, key) == value
    with pytest.raises(InvalidSchedule):
        validate(found)
