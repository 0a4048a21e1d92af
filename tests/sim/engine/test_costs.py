"""What passes cost: whole shares divided, tables per stage and slice, odd input refused."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from sim import (
    FAMILIES,
    Cluster,
    Costs,
    Link,
    Op,
    Schedule,
    costs_from_json,
    costs_to_json,
    nodes,
    offloaded,
    simulate,
    slower,
)
from sim.base.numbers import exact
from sim.engine.costs_fit import fits
from sim.testing import costs, schedules


def f(stage: int, part: int = 0) -> tuple[Op]:
    return (Op("F", stage, 0, part),)


def test_uniform_costs_are_of_a_whole_share_and_are_divided_among_stages_and_slices() -> None:
    schedule = FAMILIES["seq1f1b-interleaved"](2, 4, v=3, slices=2)
    found = Costs.uniform(
        schedule, forward=12, backward=6, weight=1, send=5, activation_bytes=60,
        boundary_bytes=8, static_bytes=9,
    )  # fmt: skip
    assert found.forward == ((2,),) * 6
    assert found.backward == ((1,),) * 6
    assert found.weight == ((Fraction(1, 6),),) * 6
    assert found.send == (5,) * 5  # a latency is never divided
    assert found.activation_bytes == ((10,),) * 6
    assert found.boundary_bytes == ((4,),) * 5
    assert found.static_bytes == (3,) * 6


def test_uneven_placements_divide_each_devices_share_by_its_own_stages() -> None:
    schedule = Schedule((0, 1, 0), ((), ()), 1)
    assert Costs.uniform(schedule, forward=6).forward == ((3,), (6,), (3,))


def test_a_pass_of_length_one_on_half_a_device_takes_one_half() -> None:
    found = Costs.uniform(FAMILIES["interleaved"](2, 2), forward=1)
    assert found.duration(f(0)) == 0.5


def test_a_fused_backward_takes_both_times_unless_it_has_its_own() -> None:
    found = Costs.of(1, forward=1, backward=0.1, weight=0.2)
    assert found.duration((Op("BW", 0, 0),)) == 0.3  # not 0.30000000000000004
    assert replace(found, fused_backward=((0.25,),)).duration((Op("BW", 0, 0),)) == 0.25


def test_fused_steps_take_the_sum_scaled_by_their_sort() -> None:
    found = Costs.of(
        2, forward=[1, 2], backward=[4, 8], weight=[16, 32], pair_scale=0.5, group_scale=0.25
    )
    pair = Op("F", 0, 1), Op("BW", 1, 0)
    assert found.duration(pair) == (1 + 8 + 32) / 2
    group = Op("W", 0, 0), Op("W", 0, 1)
    assert found.duration(group) == 8
    assert found.duration(group[:1]) == 16


def test_costs_differ_by_stage_and_slice_where_told_to() -> None:
    found = Costs.of(2, forward=[[1, 2], 3], backward=1, weight=1, activation_bytes=[[5, 6], [7]])  # type: ignore[arg-type]
    assert [found.duration(f(stage, part)) for stage in (0, 1) for part in (0, 1)] == [1, 2, 3, 3]
    assert [found.change("F", stage, part) for stage in (0, 1) for part in (0, 1)] == [5, 6, 7, 7]


def test_arrays_count_as_lists() -> None:
    plain = Costs.of(2, forward=[1, 2], backward=[[1, 2], [3, 4]], weight=1, send=[3])
    arrays = Costs.of(
        2,
        forward=np.array([1, 2]),  # type: ignore[arg-type]
        backward=np.array([[1, 2], [3, 4]]),  # type: ignore[arg-type]
        weight=np.float64(1),
        send=np.array([3]),  # type: ignore[arg-type]
    )
    assert arrays == plain
    assert hash(arrays) == hash(plain)
    assert costs_from_json(costs_to_json(arrays)) == plain
    assert Costs(forward=[np.array([1, 2])], backward=((1,),), weight=((1,),)).forward == ((1, 2),)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(schedules().flatmap(costs))
def test_what_a_microbatch_leaves_on_a_device_is_gone_after_its_backward(found: Costs) -> None:
    for stage in range(found.n_stages):
        for part in range(len(found.activation_bytes[stage])):
            change = {kind: found.change(kind, stage, part) for kind in ("F", "B", "W", "BW")}
            assert change["F"] + change["B"] + change["W"] == 0
            assert change["F"] + change["BW"] == 0


@settings(max_examples=50, deadline=None)
@given(schedules().flatmap(costs))
def test_json_gives_back_equal_costs(found: Costs) -> None:
    text = costs_to_json(found)
    assert costs_from_json(text) == found
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json_takes_single_numbers_and_passes_over_what_it_does_not_know() -> None:
    text = '{"forward": [1, "1/3"], "backward": 2, "weight": "0.5", "send": 1, "host": "here"}'
    found = costs_from_json(text)
    assert found == Costs.of(2, forward=[1, Fraction(1, 3)], backward=2, weight=0.5, send=1)  # type: ignore[arg-type]
    assert costs_from_json(text.replace('"host": "here"', '"static_bytes": null')) == found


GOOD: dict[str, Any] = {"forward": [1, 1], "backward": [1, 1], "weight": [1, 1]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"forward": []}, "costs describe no stage"),
        ({"forward": 1}, 'a list "forward", one row per stage'),
        ({"forward": None}, 'a list "forward", one row per stage'),
        ({"backward": []}, "backward has 0 rows: it must have 2"),
        ({"weight": []}, "weight has 0 rows: it must have 2"),
        ({"backward": None}, "backward of stage 0 is None: it must be a number"),
        ({"backward": [1]}, "backward has 1 rows: it must have 2"),
        ({"backward": [1, 2, 3]}, "backward has 3 rows: it must have 2"),
        ({"fused_backward": []}, "fused_backward has 0 rows"),
        ({"backward": [[1], []]}, "backward of stage 1 is empty"),
        ({"backward": [[[1]], 1]}, "backward of stage 0 is [1]: it must be a number"),
        ({"backward": [1, -2]}, "backward of stage 1 is -2: it must not be negative"),
        ({"backward": [1, math.nan]}, "backward of stage 1 is nan: it must be finite"),
        ({"backward": [1, math.inf]}, "backward of stage 1 is inf: it must be finite"),
        ({"backward": [1, True]}, "backward of stage 1 is True: it must be a number"),
        ({"backward": [1, "two"]}, "'two' is not a number; a fraction is written as 1/3"),
        ({"backward": [1, "1/0"]}, "'1/0' is not a number"),
        ({"backward": [1, "1e999999999"]}, "'1e999999999' is not a number"),
        ({"backward": [1, "nan"]}, "'nan' is not a number"),
        ({"backward": {"0": 1}}, "it must be a number"),
        ({"backward": 10**400}, "backward of stage 0 has over 300 digits"),
        ({"send": [1, 1]}, "send has 2 rows: it must have 1"),
        ({"send": [[1, 2]]}, "send of boundary 0 has 2 numbers: it must have 1"),
        ({"send": [-1]}, "send of boundary 0 is -1: it must not be negative"),
        ({"static_bytes": [1, [2, 3]]}, "static_bytes of stage 1 has 2 numbers"),
        ({"activation_bytes": [1, -1]}, "activation_bytes of stage 1 is -1"),
        ({"boundary_bytes": [1, 2]}, "boundary_bytes has 2 rows: it must have 1"),
        ({"pair_scale": -1}, "pair_scale is -1: it must not be negative"),
        ({"pair_scale": None}, "pair_scale is None: it must be a number"),
        ({"group_scale": math.nan}, "group_scale is nan: it must be finite"),
    ],
)
def test_odd_costs_get_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        costs_from_json(json.dumps({**GOOD, **change}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", GOOD)
def test_json_without_the_times_gets_one_sentence(missing: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(ValueError, match=missing):
        costs_from_json(json.dumps(rest))


@pytest.mark.parametrize("text", ["", "{", "7", "null", "[1]", "[" * 100_000, "1" * 5000])
def test_text_that_holds_no_costs_gets_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not JSON|no costs)"):
        costs_from_json(text)


def test_bytes_at_b_may_be_negative_and_nothing_else() -> None:
    found = Costs.of(1, forward=1, backward=1, weight=1, activation_bytes=5, backward_bytes=-3)
    assert [found.change(kind, 0) for kind in ("F", "B", "W", "BW")] == [5, -3, -2, -5]
    signed = {"backward_bytes"}
    for field in fields(Costs):
        if field.name not in signed:
            with pytest.raises(ValueError, match=f"{field.name} .*must not be negative"):
                Costs.of(2, **{**GOOD, field.name: -1})


def test_unknown_fields_and_single_numbers_at_the_wrong_door_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="costs have no field 'speed'; they have"):
        Costs.of(1, forward=1, backward=1, weight=1, speed=9)
    with pytest.raises(ValueError, match=r"forward is 1: it must have a row per stage; Costs.of"):
        Costs(forward=1, backward=1, weight=1)  # type: ignore[arg-type]


def test_costs_without_a_pass_are_refused_by_its_name() -> None:
    with pytest.raises(
        ValueError, match=r"^Costs.of\(4\) has no forward: give forward, backward, "
    ):
        Costs.of(4)
    with pytest.raises(ValueError, match=r"^Costs.of\(2\) has no weight: "):
        Costs.of(2, forward=1, backward=1)


def test_an_all_reduce_takes_a_send_where_the_vocabulary_is_shared() -> None:
    plain, shared = FAMILIES["1f1b"](2, 4), FAMILIES["vocab-1f1b"](2, 4)
    assert Costs.uniform(plain, send=3).all_reduce == 0
    assert Costs.uniform(shared, send=3).all_reduce == 3
    assert Costs.uniform(shared, send=3, all_reduce=7).all_reduce == 7


def test_too_many_or_too_few_forwards_are_not_blamed_on_the_next_field() -> None:
    with pytest.raises(ValueError, match=r"^forward has 3 rows: it must have 2"):
        Costs.of(2, forward=[1, 2, 3], backward=1, weight=1)
    with pytest.raises(ValueError, match="n_stages is '2': it must be a whole number"):
        Costs.of("2", forward=1, backward=1, weight=1)  # type: ignore[arg-type]


def test_costs_must_describe_the_stages_and_slices_of_the_schedule() -> None:
    schedule = FAMILIES["seq1f1b"](2, 2, slices=3)
    fits(Costs.of(2, forward=[[1, 2, 3], [1]], backward=1, weight=1), schedule)
    with pytest.raises(ValueError, match="costs describe 3 stages, but seq1f1b has 2"):
        fits(Costs.of(3, forward=1, backward=1, weight=1), schedule)
    with pytest.raises(ValueError, match="forward has 2 columns, but seq1f1b has 3 slices"):
        fits(Costs.of(2, forward=[[1, 2], [1]], backward=1, weight=1), schedule)
    with pytest.raises(ValueError, match="forward has 2 columns, but 1f1b has 1 slice"):
        simulate(FAMILIES["1f1b"](2, 2), Costs.of(2, forward=[[1, 2], [1]], backward=1, weight=1))


@pytest.mark.parametrize("number", [-1, math.nan, math.inf, True, "1", None])
@pytest.mark.parametrize("name", ["forward", "backward", "weight", "send", "boundary_bytes"])
def test_uniform_costs_refuse_what_is_no_number(name: str, number: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        Costs.uniform(FAMILIES["1f1b"](2, 2), **{name: number})


def test_uniform_costs_of_a_broken_schedule_do_not_break_before_it_is_validated() -> None:
    assert Costs.uniform(Schedule((0, 7), ((),), 1), forward=1).forward == ((1,), (1,))
    with pytest.raises(ValueError, match="has 0 slices"):
        Costs.uniform(Schedule((0,), ((),), 1, n_slices=0))
    with pytest.raises(ValueError, match="costs describe no stage"):
        Costs.uniform(Schedule((), (), 1))


def test_a_slower_stage_is_slower_in_every_pass() -> None:
    found = slower(Costs.of(2, forward=1, backward=0.1, weight=2, send=3), [1, 3])
    assert (found.forward, found.backward) == (((1,), (3,)), ((0.1,), (0.3,)))
    assert (found.weight, found.send, found.fused_backward) == (((2,), (6,)), (3,), None)
    with pytest.raises(ValueError, match="3 factors for 2 stages"):
        slower(found, [1, 2, 3])
    with pytest.raises(ValueError, match="factor of stage 1 is -1"):
        slower(found, [1, -1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_devices": 0}, "n_devices of a cluster is 0: it must be a whole number >= 1"),
        ({"n_devices": 2.0}, "n_devices of a cluster is 2.0: it must be a whole number >= 1"),
        ({"memory": 5}, "memory is 5: it must have one entry per device"),
        ({"memory": (5,)}, "memory has 1 entries for 2 devices"),
        ({"memory": (5, -1)}, "memory of device 1 is -1"),
        ({"memory": (5, math.nan)}, "memory of device 1 is nan"),
        ({"slowdown": (1, 0)}, "slowdown of device 1 is 0: 1 is normal speed"),
        ({"slowdown": (1, -2)}, "slowdown of device 1 is -2"),
        ({"routes": {(0, 1): ("wire",)}}, "route (0, 1) names link 'wire'"),
        ({"routes": {(0, 2): ()}}, "route (0, 2) joins no two devices"),
        ({"routes": {(1, 1): ()}}, "route (1, 1) joins no two devices"),
        ({"links": {"a": Link()}, "routes": {(0, 1): "a"}}, "is 'a': give the names of its links"),
        ({"routes": {(0, 1): 3}}, "route (0, 1) is 3: give the names of its links"),
        ({"links": {"a": (1, 2)}}, "link 'a' is (1, 2): it must be a Link"),
        ({"links": ["a"]}, "links is ['a']: it must be a mapping"),
        ({"routes": [(0, 1)]}, "routes is [(0, 1)]: it must be a mapping"),
        ({"transfers": "fast"}, "transfers is 'fast': use one of"),
        ({"receives": "never"}, "receives is 'never': use one of"),
    ],
)
def test_odd_clusters_get_one_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Cluster(**{"n_devices": 2, **arguments})
    assert words in str(caught.value)


def test_odd_links_get_one_sentence() -> None:
    with pytest.raises(ValueError, match="link bandwidth is 0: nothing could ever cross it"):
        Link(bandwidth=0)
    with pytest.raises(ValueError, match="link bandwidth is nan"):
        Link(bandwidth=math.nan)
    with pytest.raises(ValueError, match="link latency is -1"):
        Link(latency=-1)
    with pytest.raises(ValueError, match="per_node is 0: it must be a whole number >= 1"):
        nodes(4, per_node=0, inside=Link(), between=Link())


def test_traffic_between_nodes_shares_the_card_and_traffic_inside_does_not() -> None:
    cluster = nodes(4, per_node=2, inside=Link(bandwidth=8), between=Link(latency=1, bandwidth=2))
    assert cluster.routes[0, 2] == cluster.routes[1, 3] == ("node 0 out", "node 1 in")
    assert cluster.routes[2, 0] == ("node 1 out", "node 0 in")
    inside = [cluster.routes[pair] for pair in ((0, 1), (1, 0), (2, 3), (3, 2))]
    assert len(set(inside)) == 4
    # The card's latency counts once, though a transfer passes two cards.
    assert sum(exact(cluster.links[name].latency) for name in cluster.routes[0, 2]) == 1


def test_what_is_not_given_is_nothing_but_a_unit_for_every_pass() -> None:
    schedule = offloaded(FAMILIES["vocab-1f1b"](2, 4))
    assert schedule.copies
    found = Costs.uniform(schedule)
    assert found.forward == found.backward == found.weight == ((1,), (1,))
    assert found.offload == ((0,), (0,))
    nothing = ("send", "gradient_sum", "gradient_bytes", "static_bytes", "vocabulary_scores",
               "vocabulary_gradients")  # fmt: skip
    assert not any(cell for name in nothing for cell in getattr(found, name))
    tables = ("activation_bytes", "backward_bytes", "boundary_bytes", "all_to_all")
    assert not any(cell for name in tables for row in getattr(found, name) for cell in row)
    assert (found.copy_latency, found.all_reduce, found.logits_bytes) == (0, 0, 0)
