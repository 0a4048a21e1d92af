"""Every rule of a runnable schedule: kept by what is right, named by what breaks it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import (
    FAMILIES,
    Costs,
    InvalidSchedule,
    Op,
    Schedule,
    makespan,
    parse_op,
    simulate,
    validate,
)
from sim.schedule.deadlock import waiting_cycle
from sim.schedule.rules import PLAYABLE, RULES
from sim.schedule.violations import Violation
from sim.testing import schedules


def built(*rows: str, placement: Sequence[int] | None = None, m: int = 1, k: int = 1) -> Schedule:
    """A schedule from one text row per device; `&` joins fused passes; one stage per device."""
    steps = [[tuple(map(parse_op, cell.split("&"))) for cell in row.split()] for row in rows]
    return Schedule(
        placement=tuple(range(len(rows))) if placement is None else tuple(placement),
        orders=tuple(tuple(op for step in row for op in step) for row in steps),
        n_microbatches=m,
        n_slices=k,
        fused=tuple(step for row in steps for step in row if len(step) > 1),
        name="test",
    )


def broken_rule(schedule: Schedule) -> str:
    """Name of the first rule that `schedule` breaks."""
    return next((rule.__name__ for rule in RULES if rule(schedule)), "")


def sentence(schedule: Schedule) -> str:
    with pytest.raises(InvalidSchedule) as caught:
        validate(schedule)
    return caught.value.sentence


@pytest.mark.parametrize(
    ("schedule", "rule", "words"),
    [
        (Schedule((), (), 1), "sizes_positive", "the number of devices is 0"),
        (Schedule((), ((),), 1), "sizes_positive", "the number of stages is 0"),
        (built("", m=0), "sizes_positive", "the number of microbatches is 0"),
        (built("", m=-2), "sizes_positive", "the number of microbatches is -2"),
        (built("F0@0 BW0@0", k=0), "sizes_positive", "the number of slices is 0"),
        (Schedule((0,), ((),), 1.5), "sizes_positive", "is 1.5; it must be a whole number >= 1"),  # type: ignore[arg-type]
        (Schedule((0,), ((),), True), "sizes_positive", "microbatches is True"),
        (built("", placement=(0, 1)), "placement_sane", "stage 1 is placed on device 1"),
        (built("", placement=(-1,)), "placement_sane", "stage 0 is placed on device -1"),
        (built("", placement=(0.0,)), "placement_sane", "device 0.0"),  # type: ignore[arg-type]
        (built("", "", placement=(0,)), "placement_sane", "device 1: holds no stage"),
        (Schedule((0,), ((("F", 0, 0),),), 1), "passes_known", "('F', 0, 0) is not a pass"),  # type: ignore[arg-type]
        (Schedule((0,), ((None,),), 1), "passes_known", "None is not a pass"),  # type: ignore[arg-type]
        (Schedule((0,), ((Op("I", 0, 0),),), 1), "passes_known", "is of kind 'I'; kinds are F, B"),  # type: ignore[arg-type]
        (Schedule((0,), ((Op("F", 0, 0.0),),), 1), "passes_known", "number 0.0 of the micro"),  # type: ignore[arg-type]
        (Schedule((0,), ((Op("F", 0, True),),), 2), "passes_known", "number True of the micro"),
        (built("F0@0 F1@0 BW0@0"), "passes_known", "position 1: F1@0 names number 1 of the micro"),
        (built("F0@0 F0@1 BW0@0"), "passes_known", "F0@1 names number 1 of the stages"),
        (built("F0@0 F0.1@0"), "passes_known", "number 1 of the slices, which are 0 to 0"),
        (built("F0@0 F0@1 BW0@0", "BW0@1"), "placement_respected", "F0@1 belongs on device 1"),
        (built("F0@0 F0@0 BW0@0"), "each_pass_once", "position 1: F0@0 is also at position 0"),
        (built("F0@0 BW0@0 BW0@0"), "each_pass_once", "BW0@0 is also at position 1"),
        (built("F0@0 BW0@0 B0@0"), "each_pass_once", "B0@0 doubles BW0@0 at position 1"),
        (built("F0@0 B0@0 W0@0 BW0@0"), "each_pass_once", "B0@0 doubles BW0@0"),
        (built("F0@0 BW0@0 W0@0"), "each_pass_once", "W0@0 doubles BW0@0"),
        (built(""), "each_pass_once", "device 0: F0@0 is missing"),
        (built("BW0@0"), "each_pass_once", "F0@0 is missing"),
        (built("F0@0"), "each_pass_once", "BW0@0 is missing"),
        (built("F0@0 B0@0"), "each_pass_once", "W0@0 is missing"),
        (built("F0@0 W0@0"), "each_pass_once", "B0@0 is missing"),
        (built("F0@0 F1@0 BW0@0 BW1@0", m=3), "each_pass_once", "F2@0 is missing"),
        (built("F0@0 BW0@0", k=2), "each_pass_once", "F0.1@0 is missing"),
        (built("F0@0 F1@0 B0@0 W1@0 BW1@0", m=2), "each_pass_once", "W1@0 doubles BW1@0"),
        (built("F0@0 W0@0 B0@0"), "weight_after_its_backward", "W0@0 comes before B0@0"),
        (built("BW0@0 F0@0"), "inputs_before_use", "BW0@0 comes before F0@0, whose output"),
        (built("F0.1@0 F0@0 BW0.1@0 BW0@0", k=2), "inputs_before_use", "F0.1@0 comes before F0@0"),
        (built("F0@0 F0.1@0 BW0@0 BW0.1@0", k=2), "inputs_before_use", "before BW0.1@0"),
        (built("F0@1 F0@0 BW0@1 BW0@0", placement=(0, 0)), "inputs_before_use", "before F0@0"),
        (built("F0@0 F0@1 BW0@0 BW0@1", placement=(0, 0)), "inputs_before_use", "before BW0@1"),
        (built("F1@0 F0@0 BW0@0 BW1@0", m=2), "last_stage_in_order", "F0@0 comes after F1@0"),
        (built("F0@0&BW0@0"), "fused_steps_sound", "BW0@0 reads what F0@0 of the same fused step"),
        (built("F0@0 B0@0&W0@0"), "fused_steps_sound", "W0@0 reads what B0@0"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_in_one_sentence(schedule: Schedule, rule: str, words: str) -> None:
    assert broken_rule(schedule) == rule
    assert words in sentence(schedule)
    assert sentence(schedule).startswith(f"{schedule.name}:")
    assert "\n" not in sentence(schedule)


def test_the_error_shows_the_grid_with_the_spot_marked() -> None:
    schedule = FAMILIES["1f1b"](2, 3)
    order = schedule.orders[1]
    swapped = replace(schedule, orders=(schedule.orders[0], (order[1], order[0], *order[2:])))
    with pytest.raises(InvalidSchedule) as caught:
        validate(swapped)
    assert str(caught.value).splitlines() == [
        "1f1b: device 1, position 0: BW0@1 comes before F0@1, whose output it reads",
        "1f1b: 2 devices, 2 stages, 3 microbatches",
        "device 0 | F0 F1 BW0 F2 BW1 BW2",
        "device 1 | >BW0< F0 F1 BW1 F2 BW2",
    ]
    error = caught.value
    assert (error.schedule, error.device, error.position, error.op) == (
        swapped, 1, 0, Op("BW", 1, 0),
    )  # fmt: skip
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("row", "missing", "position", "marked"),
    [
        ("BW0@0 F1@0 BW1@0", "F0@0", 0, ">BW0< F1 BW1"),
        ("F0@0 BW0@0 F1@0", "BW1@0", 2, "F0 BW0 >F1<"),
        ("F0@0 F1@0 B1@0 W1@0 W0@0", "B0@0", 4, "F0 F1 B1 W1 >W0<"),
        ("F0@0 B0@0 F1@0 B1@0 W1@0", "W0@0", 1, "F0 >B0< F1 B1 W1"),
    ],
)
def test_of_a_missing_pass_the_one_that_lacks_it_is_marked(
    row: str, missing: str, position: int, marked: str
) -> None:
    words = f"position {position}: {missing} is missing"
    with pytest.raises(InvalidSchedule, match=words) as caught:
        validate(built(row, m=2))
    error = caught.value
    assert (error.device, error.position, str(error.op)) == (0, position, missing)
    assert str(error).endswith(f"device 0 | {marked}")


def test_a_microbatch_that_a_stage_never_sees_has_a_device_but_no_position() -> None:
    with pytest.raises(InvalidSchedule, match="device 0: F1@0 is missing") as caught:
        validate(built("F0@0 BW0@0", m=2))
    assert (caught.value.device, caught.value.position, caught.value.op) == (0, None, Op("F", 0, 1))


def test_a_deadlock_names_the_passes_that_wait_for_each_other() -> None:
    schedule = built("F0@0 BW0@0 F1@0 BW1@0", "F0@1 F1@1 BW0@1 BW1@1", m=2)
    assert broken_rule(schedule) == "no_deadlock"
    assert sentence(schedule) == (
        "test: device 0, position 1: deadlock: BW0@0 waits for BW0@1, which comes after F1@1; "
        "F1@1 waits for F1@0, which comes after BW0@0"
    )


def test_a_circle_is_named_without_the_devices_that_only_wait_for_it() -> None:
    stuck = built(
        "F0@0 F1@0 BW0@0 BW1@0",
        "F0@1 BW0@1 F1@1 BW1@1",
        "F0@2 F1@2 BW0@2 BW1@2",
        m=2,
    )
    cycle = waiting_cycle(stuck)
    assert [str(wait) for wait in cycle] == [
        "BW0@1 waits for BW0@2, which comes after F1@2",
        "F1@2 waits for F1@1, which comes after BW0@1",
    ]


def test_a_circle_of_one_device_and_its_own_order_is_a_deadlock_too() -> None:
    assert [str(wait) for wait in waiting_cycle(built("BW0@0 F0@0"))] == [
        "BW0@0 waits for F0@0, which comes after BW0@0"
    ]


def test_a_pass_that_nobody_feeds_is_named_rather_than_waited_for() -> None:
    assert [str(wait) for wait in waiting_cycle(built("F0@0 BW0@0", "BW0@1"))] == [
        "BW0@1 waits for saved of 0@1, which no pass writes"
    ]


def test_fusing_two_passes_can_make_a_deadlock_that_single_passes_do_not_have() -> None:
    apart = built("F0@0 BW0@0 F1@0 BW1@0", "F0@1 BW0@1 F1@1 BW1@1", m=2)
    joined = built("F0@0 BW0@0 F1@0 BW1@0", "F0@1 BW0@1&F1@1 BW1@1", m=2)
    validate(apart)
    assert broken_rule(joined) == "no_deadlock"
    assert "F1@1 waits for F1@0" in sentence(joined)
    with pytest.raises(InvalidSchedule, match=r"device 1 \| F0 BW0&F1 BW1$"):
        validate(joined)


@pytest.mark.parametrize(
    ("fused", "words"),
    [
        (((),), "has fewer than two passes"),
        (((Op("F", 0, 0),),), "has fewer than two passes"),
        (((Op("F", 0, 0), Op("F", 0, 7)),), "names F7@0, which no device runs"),
        (((Op("F", 0, 0), Op("BW", 0, 1)),), "is not a run of neighbours"),
        (
            ((Op("F", 0, 0), Op("F", 0, 1)), (Op("F", 0, 1), Op("BW", 0, 0))),
            "F1@0 is in two fused steps",
        ),
    ],
)
def test_fused_steps_must_be_runs_of_neighbours(
    fused: tuple[tuple[Op, ...], ...], words: str
) -> None:
    schedule = replace(built("F0@0 F1@0 BW0@0 BW1@0", m=2), fused=fused)
    assert broken_rule(schedule) == "fused_steps_sound"
    assert words in sentence(schedule)


def test_backwards_may_be_split_for_some_microbatches_and_fused_for_others() -> None:
    validate(built("F0@0 F1@0 BW0@0 B1@0 W1@0", m=2))


def test_a_rule_that_held_is_not_looked_at_again_and_a_broken_one_is() -> None:
    looked: list[str] = []

    def holds(_: Schedule) -> None:
        looked.append("holds")

    def broken(_: Schedule) -> Violation:
        looked.append("broken")
        return Violation("it is broken")

    schedule = FAMILIES["1f1b"](2, 2)
    for _ in range(2):
        with pytest.raises(InvalidSchedule, match="it is broken"):
            validate(schedule, rules=(holds, broken))
    assert looked == ["holds", "broken", "broken"]
    # Another schedule, even a changed copy of the same, is looked at afresh.
    with pytest.raises(InvalidSchedule):
        validate(replace(schedule, name="other"), rules=(holds, broken))
    assert looked[3:] == ["holds", "broken"]


def test_an_order_that_only_a_runtime_minds_can_be_played_all_the_same() -> None:
    schedule = built("F1@0 F0@0 BW1@0 BW0@0", m=2)
    validate(schedule, rules=PLAYABLE)
    assert makespan(simulate(schedule, Costs.uniform(schedule))) == 6
    with pytest.raises(InvalidSchedule, match="the last stage goes in microbatch order"):
        validate(schedule)


def play(schedule: Any) -> None:
    simulate(schedule, Costs.of(1, forward=1, backward=1, weight=1))


@pytest.mark.parametrize("ask", [validate, play, Costs.uniform])
@pytest.mark.parametrize("thing", [None, "1f1b", FAMILIES["1f1b"], 4])
def test_what_is_no_schedule_gets_one_sentence(ask: Any, thing: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a Schedule, got .*: FAMILIES\[name\]\(p, m\)"):
        ask(thing)


def test_ten_thousand_microbatches_need_no_recursion_and_no_patience() -> None:
    validate(FAMILIES["1f1b"](4, 10_000))


def test_a_schedule_that_claims_a_billion_microbatches_is_refused_at_once() -> None:
    assert "F1@0 is missing" in sentence(built("F0@0 BW0@0", m=10**9))


@settings(max_examples=60, deadline=None)
@given(schedules())
def test_what_the_strategy_calls_valid_is_valid(schedule: Schedule) -> None:
    validate(schedule)


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_leaving_out_any_pass_is_caught(schedule: Schedule, data: st.DataObject) -> None:
    device = data.draw(st.integers(0, schedule.n_devices - 1))
    order = list(schedule.orders[device])
    lost = order.pop(data.draw(st.integers(0, len(order) - 1)))
    broken = with_order(schedule, device, order)
    assert broken_rule(broken) == "each_pass_once"
    assert f"@{lost.stage} is missing" in sentence(broken) or "doubles" in sentence(broken)


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_running_any_pass_twice_is_caught(schedule: Schedule, data: st.DataObject) -> None:
    device = data.draw(st.integers(0, schedule.n_devices - 1))
    order = list(schedule.orders[device])
    twice = data.draw(st.sampled_from(order))
    order.insert(data.draw(st.integers(0, len(order))), twice)
    assert f"{twice} is also at position" in sentence(with_order(schedule, device, order))


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_swapping_a_pass_with_what_it_reads_is_caught(
    schedule: Schedule, data: st.DataObject
) -> None:
    device = data.draw(st.integers(0, schedule.n_devices - 1))
    order = list(schedule.orders[device])
    backwards = [op for op in order if op.kind in ("B", "BW")]
    late = data.draw(st.sampled_from(backwards))
    a, b = order.index(late), order.index(late._replace(kind="F"))
    order[a], order[b] = order[b], order[a]
    assert broken_rule(with_order(schedule, device, order)) in (
        "inputs_before_use", "weight_after_its_backward",
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(schedules(), st.data())
def test_a_shuffled_order_is_either_refused_or_can_be_played_to_the_end(
    schedule: Schedule, data: st.DataObject
) -> None:
    device = data.draw(st.integers(0, schedule.n_devices - 1))
    shuffled = with_order(schedule, device, data.draw(st.permutations(schedule.orders[device])))
    # The rules about one device see part of what playing sees; never more than that.
    stuck = bool(waiting_cycle(shuffled))
    assert (
        stuck
        == (
            broken_rule(shuffled)
            in ("weight_after_its_backward", "inputs_before_use", "no_deadlock")
        )
        or broken_rule(shuffled) == "last_stage_in_order"
    )


def with_order(schedule: Schedule, device: int, order: Sequence[Op]) -> Schedule:
    """`schedule` with another order on one device, and no fused steps."""
    orders = list(schedule.orders)
    orders[device] = tuple(order)
    return replace(schedule, orders=tuple(orders), fused=())
