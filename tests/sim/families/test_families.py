"""Every family against what its source claims, by an evaluator apart from the engine."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from longest_path import peak, problems, times

from sim import FAMILIES, Costs, InvalidSchedule, validate
from sim.base.numbers import Number
from sim.families.family import Family
from sim.families.interleaved import alternating, grouped
from sim.schedule.dependencies import steps
from sim.schedule.ir import Op, Schedule

OURS = [
    "gpipe",
    "1f1b",
    "eager-1f1b",
    "interleaved",
    "looped-bfs",
    "zb-h1",
    "zb-h2",
    "zb-v",
    "1f1b-v",
    "v-min",
    "v-half",
    "v-zb",
    "gis",
    "gis-h",
    "dualpipe-v",
]
COSTS = ((1, 1, 1), (2, 2, 2), (6, 4, 8), (5, 7, 3), (4, 4, 1))


def passes(schedule: Schedule, time: int = 1) -> Costs:
    """Every pass of one stage takes `time`."""
    return Costs.of(schedule.n_stages, forward=time, backward=time, weight=time)


def choices(family: Family) -> list[dict[str, int]]:
    """Option sets worth trying."""
    if "v" not in family.options:
        return [{}]
    sizes = [{"v": v} for v in (1, 2, 3)]
    return [*sizes, {"v": 2, "group_size": 9}] if "group_size" in family.options else sizes


def known(family: Family, schedule: Schedule, options: dict[str, int]) -> dict[str, Any]:
    """What the formulas of a family speak about, but for F, B and W."""
    p = schedule.n_devices
    default = {"v": 2, "group_size": p} if "v" in family.options else {"v": 1, "group_size": p}
    merged = {**default, **options}
    found = {"p": p, "m": schedule.n_microbatches, "v": merged["v"], "N": merged["group_size"]}
    return {name: Fraction(number) for name, number in found.items()}


def test_the_families_come_in_the_order_of_the_story() -> None:
    assert [name for name in FAMILIES if name in OURS] == OURS


@pytest.mark.parametrize("name", OURS)
def test_a_family_serves_every_number_of_devices_and_microbatches(name: str) -> None:
    family = FAMILIES[name]
    for p in (1, 2, 3, 4, 5):
        for m in range(1, 2 * p + 3):
            for options in choices(family):
                schedule = family(p, m, **options)
                assert not problems(schedule), (p, m, options)
                assert schedule.n_devices == p
                assert schedule.n_microbatches == m
                times(schedule, Costs.uniform(schedule))  # ends: nothing waits for ever


@pytest.mark.parametrize("name", OURS)
def test_bubble_and_peak_are_what_the_formulas_say(name: str) -> None:
    family, checked = FAMILIES[name], 0
    for p, m in ((1, 2), (2, 4), (3, 6), (3, 9), (4, 4), (4, 12), (5, 10), (6, 13), (8, 16)):
        for options in choices(family):
            schedule = family(p, m, **options)
            for f, b, w in COSTS:
                names = known(family, schedule, options)
                names |= {"F": Fraction(f), "B": Fraction(b), "W": Fraction(w)}
                if not eval(family.exact_when, {}, names):
                    continue
                costs = Costs.uniform(schedule, forward=f, backward=b, weight=w)
                played = times(schedule, costs)
                idle = getattr(played, family.clock) - m * (f + b + w)
                assert idle == eval(family.bubble, {}, names), (p, m, options, (f, b, w))
                assert max(peak(schedule)) == eval(family.peak, {"min": min}, names), (
                    p,
                    m,
                    options,
                )
                checked += 1
    assert checked >= 6


@pytest.mark.parametrize("name", ["v-min", "v-half", "v-zb", "1f1b-v"])
@pytest.mark.parametrize("p", [7, 9, 12, 16, 17])
def test_v_schedules_meet_their_formulas_on_larger_pipelines(name: str, p: int) -> None:
    schedule = FAMILIES[name](p, 2 * p + 1)
    played = times(schedule, passes(schedule))
    k = 2 * max(peak(schedule))
    expected = {
        "v-min": (2 * ((p + 4) // 3), 6 * p - 1 - 3 * k + 4 * (p % 3 == 2)),
        "v-half": (2 * ((p + 2) // 2), 6 * p - 1 - 3 * k),
        "v-zb": (2 * p, 0),
        "1f1b-v": (2 * (2 * p // 3) + 2, 5 * p - {0: 8, 1: 5, 2: 7}[p % 3]),
    }[name]
    assert (k, played.longest_stage - 6 * schedule.n_microbatches) == expected


@pytest.mark.parametrize(
    ("p", "m", "k"), [(4, 8, 6), (4, 12, 6), (6, 12, 8), (4, 8, 4), (4, 12, 4)]
)
def test_v_half_and_v_min_reach_the_proven_optimum(p: int, m: int, k: int) -> None:
    schedule = FAMILIES["v-half" if k > 2 * ((p + 4) // 3) else "v-min"](p, m)
    assert 2 * max(peak(schedule)) == k
    assert times(schedule, passes(schedule)).makespan == 6 * m + 6 * p - 3 * k - 1


@pytest.mark.parametrize("p", [4, 7, 8])
@pytest.mark.parametrize(("f", "b", "w"), [(1, 1, 1), (10, 12, 8), (5, 7, 3), (9, 2, 3), (2, 9, 4)])
def test_a_full_pipeline_takes_the_known_time_per_microbatch(
    p: int, f: int, b: int, w: int
) -> None:
    expected: dict[str, Number] = {
        "v-half": max(f + b + w, Fraction(4 * f + w, 2), Fraction(4 * b + w, 2)),  # type: ignore[dict-item]
        "v-min": max(f + b + w, 3 * f, 3 * b),
        "1f1b-v": max(f + b + w, 3 * f),
        "zb-h1": f + b + w,
        "1f1b": f + b + w,
        "zb-v": f + b + w,
    }
    for name, interval in expected.items():
        ends: list[Any] = []
        for m in (4 * p, 6 * p):
            schedule = FAMILIES[name](p, m)
            costs = Costs.uniform(schedule, forward=f, backward=b, weight=w)
            ends.append(times(schedule, costs).makespan)
        assert ends[1] - ends[0] == 2 * p * interval, name


@pytest.mark.parametrize("p", [2, 3, 5, 6])
def test_1f1b_v_takes_no_longer_per_microbatch_on_other_pipelines(p: int) -> None:
    ends = []
    for m in (6 * p, 10 * p):
        schedule = FAMILIES["1f1b-v"](p, m)
        ends.append(times(schedule, Costs.uniform(schedule, forward=9, backward=2, weight=3)))
    assert 14 <= Fraction(ends[1].makespan - ends[0].makespan, 4 * p) < 27


FIGURES = [
    # name, p, m, options, makespan, longest stage, peak in chunks: all in passes of one stage
    ("gpipe", 8, 32, {}, 117, 117, 32),
    ("1f1b", 8, 32, {}, 117, 117, 8),
    ("zb-h1", 8, 32, {}, 103, 103, 8),
    ("zb-h1", 8, 24, {}, 79, 79, 8),
    ("zb-h2", 8, 32, {}, 103, 96, 15),
    ("interleaved", 8, 32, {}, 213, 213, 23),
    ("looped-bfs", 8, 32, {}, 213, 213, 64),
    ("zb-v", 8, 32, {}, 199, 192, 16),
    ("v-half", 8, 32, {}, 209, 209, 10),
    ("v-min", 8, 32, {}, 219, 219, 8),
    ("1f1b-v", 8, 32, {}, 225, 225, 12),
    ("v-zb", 8, 32, {}, 199, 192, 16),
    ("dualpipe-v", 8, 32, {}, 206, 206, 17),
    ("dualpipe-v", 4, 10, {}, 66, 66, 9),
    ("gis", 8, 32, {"v": 4}, 398, 398, 32),
    ("interleaved", 8, 32, {"v": 1}, 117, 117, 8),
    ("eager-1f1b", 8, 32, {}, 117, 117, 15),
]


@pytest.mark.parametrize(("name", "p", "m", "options", "makespan", "longest", "chunks"), FIGURES)
def test_known_figures(
    name: str, p: int, m: int, options: dict[str, int], makespan: int, longest: int, chunks: int
) -> None:
    schedule = FAMILIES[name](p, m, **options)
    played = times(schedule, passes(schedule))
    assert (played.makespan, played.longest_stage) == (makespan, longest)
    assert max(peak(schedule)) * len(schedule.stages_of[0]) == chunks


@pytest.mark.parametrize("pair", [3, 2, Fraction(5, 2)])
def test_the_bubble_of_dualpipe_v_counts_the_time_of_a_pair(pair: Fraction) -> None:
    p = 8
    schedule = FAMILIES["dualpipe-v"](p, 32)
    costs = Costs.of(2 * p, forward=1, backward=1, weight=1, pair_scale=Fraction(pair, 3))
    work = sum(costs.duration(step) for step in steps(schedule, p - 1))
    assert times(schedule, costs).makespan - work == (p - 1) * (pair + 2 - 3)


def test_zb_h1_gives_every_device_the_memory_of_the_first_one_in_1f1b() -> None:
    assert set(peak(FAMILIES["zb-h1"](5, 12))) == {5}
    assert peak(FAMILIES["1f1b"](5, 12)) == (5, 4, 3, 2, 1)


def test_few_microbatches_keep_the_order_of_many() -> None:
    many, few = FAMILIES["interleaved"](4, 8), FAMILIES["interleaved"](4, 6, group_size=4)
    for full, kept in zip(many.orders, few.orders, strict=True):
        assert kept == tuple(op for op in full if op.microbatch < 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group_size": 2},
            "group_size is 2 on 4 devices, which serves at most 3 microbatches, "
            "not 8: make it at least 3",
        ),
        ({"group_size": 1, "v": 3}, "which serves at most 1 microbatch, not 8"),
        ({"group_size": 0}, "group_size is 0"),
        ({"v": 0}, "v is 0"),
        ({"slices": 2}, "no option 'slices'"),
    ],
)
def test_options_that_cannot_be_served_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FAMILIES["interleaved"](4, 8, **options)


def megatrons_order(p: int, m: int, *, v: int, size: int) -> tuple[tuple[Op, ...], ...]:
    """What Megatron-LM plays on each device, from its rules (megatron/core/pipeline_parallel/
    schedules.py): a table of (microbatch, model chunk) group by group, the last one as large as it
    is, and 2(p-r-1) + (v-1)N forwards before the first backward."""
    table = [
        (microbatch, chunk)
        for first in range(0, m, size)
        for chunk in range(v)
        for microbatch in range(first, min(first + size, m))
    ]
    orders = []
    for r in range(p):
        forwards = [Op("F", chunk * p + r, i) for i, chunk in table]
        backwards = [Op("BW", (v - 1 - chunk) * p + r, i) for i, chunk in table]
        warm_up = min(2 * (p - r - 1) + (v - 1) * size, len(table))
        order = forwards[:warm_up]
        for forward, backward in zip(forwards[warm_up:], backwards, strict=False):
            order += [forward, backward]
        orders.append((*order, *backwards[len(table) - warm_up :]))
    return tuple(orders)


@pytest.mark.parametrize(("p", "v"), [(2, 2), (3, 3), (4, 2), (5, 2)])
def test_groups_that_megatron_runs_are_played_in_its_order(p: int, v: int) -> None:
    checked = 0
    for m in range(p, 4 * p):
        for size in range(p, m + 1):
            if not 0 < m % size < p:
                order = FAMILIES["interleaved"](p, m, v=v, group_size=size).orders
                assert order == megatrons_order(p, m, v=v, size=size), (m, size)
                checked += 1
    assert checked > 2 * p


@pytest.mark.parametrize(
    ("m", "size", "claimed"), [(18, None, 234), (18, 6, 234), (18, 7, 234), (18, 4, 242)]
)
def test_the_group_that_is_not_given_leaves_no_bubble_of_its_own(
    m: int, size: int | None, claimed: int
) -> None:
    # 18 microbatches of 12 and a bubble of (p-1)(F+B+W)/v = 3*12/2. Groups of four leave two over,
    # which Megatron-LM does not run; its table would take 254 (a play of `megatrons_order`).
    schedule = FAMILIES["interleaved"](4, m, group_size=size)
    costs = Costs.uniform(schedule, forward=4, backward=4, weight=4)
    assert times(schedule, costs).makespan == claimed
    refused = replace(schedule, orders=megatrons_order(4, 18, v=2, size=4))
    assert times(refused, costs).makespan == 254


def test_ten_microbatches_on_four_devices_go_in_two_rounds_of_five_as_torch_does() -> None:
    # pytorch pull request 129597: m // p = 2 rounds. m(F+B+W) + (p-1)(F+B+W)/v = 345, and the sends
    # of three edges there and back.
    schedule = FAMILIES["interleaved"](4, 10)
    costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    assert times(schedule, costs).makespan == 351
    assert schedule == FAMILIES["interleaved"](4, 10, group_size=5)
    smaller = FAMILIES["interleaved"](4, 10, group_size=4)
    assert times(smaller, costs).makespan == 379


@pytest.mark.parametrize("name", ["interleaved", "seq1f1b-interleaved"])
def test_a_group_smaller_than_the_pipeline_serves_what_it_can_play(name: str) -> None:
    family = FAMILIES[name]
    for p, v, k, per_group in product((2, 3, 4, 5, 7), (1, 2, 3, 4), (1, 2, 3), (1, 2, 3, 4)):
        if (k > 1 and name == "interleaved") or per_group * k >= p:
            continue
        most = per_group + 1 if v == 2 else per_group
        slices = {} if name == "interleaved" else {"slices": k}
        for m in (1, most, most + 1, 3 * p):
            options = {"v": v, "group_size": per_group * k, **slices}
            if v == 1 or per_group * k >= p - 1 or m <= most:
                validate(family(p, m, **options))
            else:
                with pytest.raises(ValueError, match=f"serves at most {most} microbatch.*, not"):
                    family(p, m, **options)


def test_what_a_small_group_refuses_could_not_be_played() -> None:
    for p, v, size in product((3, 4, 6), (2, 3, 4), (1, 2, 3, 4)):
        most = size + 1 if v == 2 else size
        for m in range(most + 1, 3 * p) if size < p - 1 else ():
            groups = -(-m // size) * size
            orders = []
            for r in range(p):
                mine = range(r, p * v, p)
                forwards = grouped("F", mine, size, groups)
                backwards = grouped("BW", mine[::-1], size, groups)
                order = alternating(forwards, backwards, (v - 1) * size + 2 * (p - r - 1))
                orders.append(tuple(op for op in order if op.microbatch < m))
            with pytest.raises(InvalidSchedule):
                validate(Schedule(tuple(range(p)) * v, tuple(orders), m))


def test_an_option_that_is_none_is_left_to_the_family() -> None:
    build = FAMILIES["interleaved"]
    assert build(4, 8, v=3, group_size=None) == build(4, 8, v=3)
    assert build(4, 8, v=None) == build(4, 8)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(("p", "m"), [(0, 4), (4, 0), (True, 4), (4, 2.0)])
def test_numbers_that_mean_nothing_are_refused(name: str, p: Any, m: Any) -> None:
    with pytest.raises(ValueError, match="it must be a whole number >= 1"):
        FAMILIES[name](p, m)


def test_a_name_that_no_family_has_is_told_which_one_may_be_meant() -> None:
    with pytest.raises(KeyError, match=r"no family 'vhalf': did you mean v-half\?"):
        FAMILIES["vhalf"]
    assert FAMILIES.get("vhalf") is None
    assert "vhalf" not in FAMILIES
