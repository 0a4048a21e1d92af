"""Recompute as a pass: what it costs in time, where it hides, and what memory it saves."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

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
    peak_activations,
    peak_bytes,
    recomputed,
    simulate,
    validate,
)
from sim import parse_op as op
from sim.base.numbers import exact
from sim.search import evaluate
from sim.testing import costs, schedules


@pytest.mark.parametrize(("p", "m"), [(2, 2), (4, 8), (5, 3)])
def test_gpipe_with_full_recompute_keeps_its_inputs_and_one_activation(p: int, m: int) -> None:
    """Bubble (p-1)(2F+BW): every device forwards for (m+p-1) F in all, then R and BW as one."""
    schedule = recomputed(FAMILIES["gpipe"](p, m))
    prices = Costs.uniform(
        schedule, forward=3, backward=4, weight=2, activation_bytes=100, recompute_keeps=0.05
    )
    trace = simulate(schedule, prices)
    assert makespan(trace) == m * (2 * 3 + 6) + (p - 1) * (2 * 3 + 6)
    assert peak_bytes(trace) == (5 * m + 95,) * p
    assert peak_activations(schedule) == (1,) * p
    assert peak_activations(schedule, keeps=0.05) == pytest.approx((0.05 * m + 0.95,) * p)


def test_a_late_recompute_is_a_longer_backward() -> None:
    schedule = FAMILIES["1f1b"](8, 24)
    prices = Costs.uniform(schedule, forward=3, backward=4, weight=2, send=1)
    longer = replace(prices, fused_backward=((9,),) * 8)
    late = simulate(recomputed(schedule), prices)
    assert makespan(late) == makespan(simulate(schedule, longer))


def waits(schedule: Schedule, prices: Costs) -> dict[Op, float]:
    """How long the device of every pass waits right before it."""
    ops = simulate(schedule, prices).ops.sort_values(["device", "position"])
    before = ops.groupby("device")["end"].shift(fill_value=0)
    names = zip(ops["kind"], ops["stage"], ops["microbatch"], ops["slice"], strict=True)
    return dict(zip((Op(*name) for name in names), (ops["start"] - before).tolist(), strict=True))


@pytest.mark.parametrize("send", [0, 2, 3, 4, 10])
def test_recompute_in_waits_costs_no_more_than_the_work_that_found_no_wait(send: int) -> None:
    schedule = FAMILIES["1f1b"](8, 24)
    prices = Costs.uniform(schedule, forward=3, backward=4, weight=2, send=send)
    found = waits(schedule, prices)
    homeless = sum(max(0, 3 - wait) for op, wait in found.items() if op.kind == "BW")
    before = makespan(simulate(schedule, prices))
    after = makespan(simulate(recomputed(schedule, place="in waits"), prices))
    assert before <= after <= before + homeless


@pytest.mark.parametrize("send", [3, 4, 10, 20])
def test_recompute_is_free_where_the_waits_hold_it(send: int) -> None:
    """1F1B, p = 8, F = 3: with 2 send >= 2 F the waits of all devices but the last one hold every
    R. That one has none between F and BW of a microbatch."""
    schedule = FAMILIES["1f1b"](8, 24)
    prices = Costs.uniform(schedule, forward=3, backward=4, weight=2, send=send)
    before = makespan(simulate(schedule, prices))
    again = recomputed(schedule, range(7), place="in waits", costs=prices)
    validate(again)
    assert makespan(simulate(again, prices)) == before
    assert peak_activations(again) == (2,) * 7 + (1,)  # of 8 to 1 without
    assert makespan(simulate(recomputed(schedule, range(7)), prices)) == before + 7 * 3 * 4


@settings(max_examples=40, deadline=None)
@given(
    schedules().flatmap(lambda schedule: st.tuples(st.just(schedule), costs(schedule))),
    st.booleans(),
)
def test_no_schedule_gets_longer_by_more_than_the_recompute_that_found_no_wait(
    case: tuple[Schedule, Costs], knows_costs: bool
) -> None:
    schedule, prices = case
    found = waits(schedule, prices)
    again = recomputed(schedule, place="in waits", costs=prices if knows_costs else None)
    homeless = Fraction(0)
    for device in range(schedule.n_devices):
        placed: set[int] = set()
        order = again.orders[device]
        for position, pass_ in enumerate(order):
            if pass_.kind == "R" and position not in placed:
                run = [pass_]  # R's of one fused step share the wait before it
                while order[position + len(run)].kind == "R":
                    run.append(order[position + len(run)])
                placed.update(range(position, position + len(run)))
                work = sum((exact(prices.duration((one,))) for one in run), Fraction(0))
                wait = exact(found[order[position + len(run)]])
                homeless += max(Fraction(0), work - wait)
    before, after = evaluate(schedule, prices), evaluate(again, prices)
    assert float(after.makespan) <= float(before.makespan + homeless) * (1 + 1e-9) + 1e-9


@settings(max_examples=75, deadline=None)
@given(schedules(), st.sampled_from(("late", "in waits")), st.data())
def test_recompute_keeps_a_valid_schedule_valid_and_never_needs_more_memory(
    schedule: Schedule, place: str, data: st.DataObject
) -> None:
    stages = data.draw(st.sets(st.integers(0, schedule.n_stages - 1)))
    found = recomputed(schedule, sorted(stages), place=place)  # type: ignore[arg-type]
    validate(found)
    assert recomputed(found, sorted(stages)) == found
    for before, after in zip(schedule.orders, found.orders, strict=True):
        assert [one for one in after if one.kind != "R"] == list(before)
    pairs = zip(peak_activations(found), peak_activations(schedule), strict=True)
    assert all(now <= then for now, then in pairs)


def order(*passes: str, m: int = 1) -> Schedule:
    return Schedule((0,), (tuple(map(op, passes)),), m, name="test")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            order("F0@0", "BW0@0", "R0@0"),
            "test: device 0, position 1: BW0@0 comes before R0@0, whose output it reads",
        ),
        (
            order("R0@0", "F0@0", "BW0@0"),
            "test: device 0, position 0: R0@0 comes before F0@0, whose output it reads",
        ),
        (order("F0@0", "R0@0", "R0@0", "BW0@0"), "position 2: R0@0 is also at position 1"),
        (order("F0@0", "R0@0"), "BW0@0 is missing"),
        (
            replace(order("F0@0", "R0@0"), trains=("nothing",)),
            "device 0, position 1: R0@0 is not needed: nothing up to stage 0 trains",
        ),
    ],
)
def test_a_recompute_out_of_place_is_named(schedule: Schedule, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        validate(schedule)
    assert words in caught.value.sentence


def test_what_is_no_place_or_no_share_is_refused() -> None:
    schedule = FAMILIES["1f1b"](2, 2)
    with pytest.raises(ValueError, match="place is 'early': use one of late, in waits"):
        recomputed(schedule, place="early")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"recompute_keeps is 1.5: it must be at most 1"):
        Costs.uniform(schedule, recompute_keeps=1.5)


@pytest.mark.parametrize("name", FAMILIES)
def test_recompute_in_any_family_never_takes_more_time_than_a_late_one(name: str) -> None:
    schedule = FAMILIES[name](4, 8 if not name.startswith("2bp") else 4)
    prices = Costs.uniform(schedule, forward=4, backward=4, weight=4, send=1)
    late, early = recomputed(schedule), recomputed(schedule, place="in waits")
    assert evaluate(early, prices).makespan <= evaluate(late, prices).makespan


def test_what_f_keeps_for_r_can_be_said_in_bytes_stage_by_stage() -> None:
    schedule = recomputed(FAMILIES["gpipe"](2, 2))
    costs = replace(
        Costs.uniform(schedule, activation_bytes=100, recompute_keeps=0.5),
        recompute_bytes=((0,), (7,)),
    )
    memory = simulate(schedule, costs).memory
    changes = dict(zip(memory["reason"], memory["change"], strict=True))
    assert [changes.get(name, 0) for name in ("F0@0", "R0@0", "BW0@0")] == [0, 100, -100]
    assert [changes[name] for name in ("F0@1", "R0@1", "BW0@1")] == [7, 93, -100]
    assert peak_bytes(simulate(schedule, costs)) == (100, 107)
