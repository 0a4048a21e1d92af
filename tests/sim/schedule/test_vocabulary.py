"""The output layer cut along its vocabulary: S and T on every device, with one barrier or two."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim import (
    Cluster,
    Costs,
    InvalidSchedule,
    Op,
    Schedule,
    costs_from_json,
    costs_to_json,
    critical_path,
    from_json,
    gantt,
    gantt_svg,
    makespan,
    mechanisms,
    parse_op,
    peak_bytes,
    simulate,
    to_json,
    validate,
)
from sim.metrics.perfetto import perfetto
from sim.schedule.torch_csv import to_torch_csv
from sim.schedule.training import forward_only, frozen
from sim.testing import transformed, wild_schedules


def on_two(barriers: int, *rows: str) -> Schedule:
    orders = tuple(tuple(map(parse_op, row.split())) for row in rows)
    return Schedule((0, 1), orders, 1, name="two", vocabulary=barriers)


ONE = on_two(1, "F0@0 S0@0 T0@0 BW0@0", "F0@1 S0@1 BW0@1 T0@1")
TWO = on_two(2, "F0@0 S0@0 T0@0 BW0@0", "F0@1 S0@1 T0@1 BW0@1")


def prices(schedule: Schedule, **more: int) -> Costs:
    """F = 1, BW = 2, S = 3, T = 5."""
    return Costs.uniform(schedule, vocabulary_scores=3, vocabulary_gradients=5, **more)


def times(schedule: Schedule, costs: Costs) -> dict[str, tuple[int, int]]:
    ops = simulate(schedule, costs).ops
    names = map(str, map(Op, ops["kind"], ops["stage"], ops["microbatch"]))
    return dict(zip(names, zip(ops["start"], ops["end"], strict=True), strict=True))


def test_with_two_barriers_the_last_stage_waits_for_every_t() -> None:
    """F 0-1, 1-2; S on both 2-5; T 5-10; BW 10-12 on the last stage, 12-14 on the first."""
    found = times(TWO, prices(TWO))
    assert found["S0@0"] == found["S0@1"] == (2, 5)
    assert found["T0@0"] == found["T0@1"] == (5, 10)
    assert (found["BW0@1"], found["BW0@0"]) == ((10, 12), (12, 14))


def test_with_one_barrier_t_may_come_later() -> None:
    """S 2-5, BW of the last stage 5-7; its T after that, while the first stage runs T, then BW."""
    found = times(ONE, prices(ONE))
    assert (found["BW0@1"], found["T0@1"]) == ((5, 7), (7, 12))
    assert (found["T0@0"], found["BW0@0"]) == ((5, 10), (10, 12))


def test_what_parts_exchange_takes_an_all_reduce() -> None:
    """send 1: F of the last stage 2-3, its S 3-6. On device 0 the activation is there at 13, S
    13-16, and so are the scores of device 1: T 16-21. Those of device 0 are on device 1 at 26: T
    26-31. Then the gradient of the other part is there too: BW 31-33, and 34-36."""
    found = times(TWO, prices(TWO, send=1, all_reduce=10))
    assert (found["S0@0"], found["S0@1"]) == ((13, 16), (3, 6))
    assert (found["T0@0"], found["T0@1"]) == ((16, 21), (26, 31))
    assert (found["BW0@1"], found["BW0@0"]) == ((31, 33), (34, 36))


@pytest.mark.parametrize("barriers", [1, 2])
def test_activations_and_their_gradients_cross_with_the_bytes_of_a_boundary(barriers: int) -> None:
    schedule = {1: ONE, 2: TWO}[barriers]
    sent = simulate(schedule, prices(schedule, boundary_bytes=7)).transfers
    found = sent[["value", "stage", "source", "destination", "bytes"]].to_numpy().tolist()
    assert sorted(map(tuple, found)) == [
        ("activation", 0, 0, 1, 7),
        ("activation", 1, 1, 0, 7),
        ("gradient", 1, 1, 0, 7),
        ("part_of_gradient", 0, 0, 1, 7),
        ("part_of_scores", 0, 0, 1, 0),
        ("part_of_scores", 1, 1, 0, 0),
    ]


def test_scores_are_kept_from_the_start_of_s_to_the_end_of_t() -> None:
    costs = prices(ONE, logits_bytes=100, activation_bytes=10, static_bytes=1)
    memory = simulate(ONE, costs).memory
    mine = memory[(memory["device"] == 1) & (memory["change"].abs() == 100)]
    assert mine[["time", "change"]].to_numpy().tolist() == [[2, 100], [12, -100]]
    assert peak_bytes(simulate(ONE, costs)) == (111, 111)
    assert set(memory["activations"]) == {0, 1}  # scores are no activation of a stage


def test_a_part_can_take_its_own_time_and_a_straggler_runs_it_slowly() -> None:
    uneven = replace(prices(TWO), vocabulary_scores=(3, 4))
    assert times(TWO, uneven)["T0@0"] == (6, 11)
    slow = simulate(TWO, prices(TWO), Cluster(2, slowdown=(2, 1)))
    assert makespan(slow) == 2 + 1 + 6 + 10 + 2 + 4
    longer = replace(prices(TWO), microbatch_scale=((2,),))
    assert makespan(simulate(TWO, longer)) == 2 * 14
    with pytest.raises(ValueError, match="vocabulary_scores has 3 numbers, but two has 2 devices"):
        simulate(TWO, replace(prices(TWO), vocabulary_scores=(1, 2, 3)))


def test_what_nobody_needs_is_left_out() -> None:
    """Forward only, S still tells the loss; there is no T, and no scores are kept or exchanged."""
    only = forward_only(TWO)
    assert str(only).splitlines()[1:] == ["device 0 | F0 S0", "device 1 | F0 S0"]
    trace = simulate(only, prices(only, logits_bytes=100))
    assert set(trace.transfers["value"]) == {"activation"}
    assert peak_bytes(trace) == (0, 0)
    assert "T0" in str(frozen(TWO, [0]))


@settings(max_examples=15, deadline=None, phases=set(Phase) - {Phase.explain})
@given(st.data())
def test_random_ones_survive_json_transforms_and_play(data: st.DataObject) -> None:
    barriers, ways = data.draw(st.sampled_from((1, 2))), data.draw(st.integers(1, 2))
    schedule = data.draw(wild_schedules(barriers=barriers, directions=ways).flatmap(transformed))
    validate(schedule)
    assert from_json(to_json(schedule)) == schedule
    extra = {"offload": 1} if schedule.copies else {}
    trace = simulate(schedule, prices(schedule, **extra))
    assert len(trace.ops) == schedule.n_ops
    assert critical_path(trace)[-1].end == makespan(trace)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (replace(TWO, vocabulary=3), "vocabulary is 3; it must be 0, or the 1 or 2 all-reduces"),
        (replace(TWO, vocabulary=0), "device 0, position 1: S0@0 runs a part of the vocabulary"),
        (
            on_two(2, "F0@0 S0@0 T0@0 BW0@0", "F0@1 S0@1 BW0@1"),
            "device 1: T0@1 is missing; every device runs one for every microbatch",
        ),
        (
            on_two(2, "F0@0 S0@1 T0@0 BW0@0", "F0@1 S0@0 T0@1 BW0@1"),
            "device 0, position 1: S0@1 belongs on device 1, where part 1 is placed",
        ),
        (
            on_two(2, "F0@0 S0@2 T0@0 BW0@0", "F0@1 S0@1 T0@1 BW0@1"),
            "S0@2 names number 2 of the parts, which are 0 to 1",
        ),
        (
            on_two(2, "F0@0 T0@0 S0@0 BW0@0", "F0@1 S0@1 T0@1 BW0@1"),
            "device 0, position 1: T0@0 comes before S0@0, whose output it reads",
        ),
        (
            replace(forward_only(TWO), orders=TWO.orders),
            "T0@0 is not needed: nothing up to the last stage trains",
        ),
        (
            on_two(2, "F0@0 BW0@0 S0@0 T0@0", "F0@1 S0@1 T0@1 BW0@1"),
            "deadlock: BW0@0 waits for BW0@1, which comes after T0@1; T0@1 waits for S0@0",
        ),
    ],
)
def test_a_broken_one_is_named(schedule: Schedule, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        validate(schedule)
    assert words in caught.value.sentence


def test_files_and_pictures_know_it() -> None:
    assert mechanisms(TWO) == ("all devices share the vocabulary, 2 barriers",)
    assert json.loads(to_json(TWO))["vocabulary"] == 2
    with pytest.raises(ValueError, match="'vocabulary' is 4: it must be 0, or how many barriers"):
        from_json(to_json(TWO).replace('"vocabulary": 2', '"vocabulary": 4'))
    with pytest.raises(ValueError, match="all devices share the vocabulary"):
        to_torch_csv(TWO)
    costs = prices(TWO, all_reduce=2, logits_bytes=1)
    assert costs_from_json(costs_to_json(costs)) == costs
    trace = simulate(TWO, costs)
    assert {part.name for part in gantt(trace).data} >= {
        "vocabulary scores", "vocabulary gradients",
    }  # fmt: skip
    assert "vocabulary scores" in gantt_svg({"two": trace})
    events = perfetto(trace)["traceEvents"]
    arrows = [event for event in events if event["ph"] == "s"]
    assert len(arrows) == len(trace.transfers) == 6  # one each, from writer to reader
