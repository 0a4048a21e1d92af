"""The explorer: what the widgets say is what is played, shown, and written as Python."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import Any

import pytest

import sim
from sim.explorer import Explorer, Setting, code, explore, played
from sim.explorer.better import better
from sim.explorer.conditions import Conditions
from sim.show.timeline import packed

EVERY = sorted(sim.FAMILIES)


def set_to(explorer: Explorer, **values: Any) -> Explorer:
    for name, value in values.items():
        explorer.controls[name].value = value
    return explorer


def text_of(widget: Any) -> str:
    """What a person reads of an HTML widget."""
    html = re.sub(r"<style>.*?</style>", "", widget.value, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def bars_of(line: Any) -> list[tuple[Any, ...]]:
    """Name, start, length and row of every bar that is drawn."""
    bars = line["bars"]
    shade, *others = (  # a column of one number is that number
        column if isinstance(column, list) else [column] * bars["n"]
        for column in (bars[name] for name in ("shade", "start", "length", "row"))
    )
    return sorted(zip([line["shades"][i]["name"] for i in shade], *others, strict=True))


def drawn(explorer: Explorer) -> list[Any]:
    """The time lines that the page is told to draw."""
    return list(json.loads(explorer.pictures.lines))


def direct(explorer: Explorer) -> sim.Trace:
    """What the widgets say, played without the explorer."""
    at = explorer.setting
    taken = {k: v for k, v in at.options.items() if k in sim.FAMILIES[at.family].options}
    schedule = sim.FAMILIES[at.family](at.devices, at.microbatches, **taken)
    costs = sim.Costs.uniform(
        schedule, forward=at.forward, backward=at.backward, weight=at.weight, send=at.send
    )
    return sim.simulate(schedule, costs)


@pytest.fixture(scope="module")
def shared() -> Explorer:
    """One explorer that is driven from family to family: nothing of the last one may stay."""
    return sim.explore("1f1b", 4, 8)


@pytest.mark.parametrize("family", EVERY)
def test_every_family_is_shown_as_it_plays(shared: Explorer, family: str) -> None:
    set_to(shared, slices=4, family=family)  # as many as devices, which slimpipe wants
    trace = direct(shared)
    assert shared.now is not None
    facts = shared.now.facts
    assert (facts.makespan, facts.longest_stage) == (sim.makespan(trace), sim.longest_stage(trace))
    assert facts.bubble_makespan == sim.bubble(trace)
    assert facts.bubble_longest_stage == sim.bubble(trace, "longest_stage")
    assert facts.peak == max(sim.peak_shares(trace))
    assert bars_of(shared.lines["now"]) == bars_of(packed(trace))
    assert drawn(shared) == [shared.lines["now"]]
    assert family in shared.lines["now"]["title"]
    assert f"{facts.bubble_makespan:.2%}" in text_of(shared.facts)
    assert text_of(shared.message) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("p", 5), ("m", 11), ("v", 3), ("forward", 20), ("backward", 3), ("weight", 1), ("send", 4)],
)
def test_turning_any_knob_changes_time_line_memory_and_code(name: str, value: int) -> None:
    explorer = explore("looped-bfs", 4, 8)
    before = (
        bars_of(explorer.lines["now"]),
        explorer.lines["now"]["memory"]["curves"][0]["x"],
        explorer.code.value,
    )
    set_to(explorer, **{name: value})
    after = (
        bars_of(explorer.lines["now"]),
        explorer.lines["now"]["memory"]["curves"][0]["x"],
        explorer.code.value,
    )
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[0] == bars_of(packed(direct(explorer)))


def test_options_are_offered_to_the_families_that_take_them() -> None:
    explorer = explore("interleaved", 4, 8, v=2)
    shown = {name for name in ("v", "slices", "group_size") if not hidden(explorer, name)}
    assert shown == {"v", "group_size"}
    set_to(explorer, family="seq1f1b", slices=4)
    assert {name for name in ("v", "slices", "group_size") if not hidden(explorer, name)} == {
        "slices"
    }
    assert explorer.now is not None
    assert explorer.now.schedule.n_slices == 4


def hidden(explorer: Explorer, name: str) -> bool:
    return bool(explorer.controls[name].layout.display == "none")


@pytest.mark.parametrize(
    ("start", "values", "words"),
    [
        ("interleaved", {"group_size": 2}, "group_size is 2 on 4 devices"),
        ("seq1f1b-interleaved", {"group_size": 3}, "group_size is 3"),
        ("1f1b", {"forward": -1.0}, "-1"),
        ("1f1b", {"send": float("nan")}, "nan"),
        ("1f1b", {"weight": float("inf")}, "inf"),
        ("1f1b", {"memory_limit": -2.0}, "-2"),
        ("gis", {"v": 8, "p": 32, "m": 128}, "40,000"),
    ],
)
def test_numbers_that_make_no_schedule_give_one_sentence(
    start: str, values: dict[str, Any], words: str
) -> None:
    explorer = set_to(explore(start, 4, 8), **values)
    message = text_of(explorer.message)
    assert words in message
    assert "Traceback" not in message
    assert "\n" not in message
    assert explorer.now is None
    assert explorer.pictures.stale
    assert drawn(explorer), "the last picture stays, faint"
    assert explorer.facts.layout.visibility == "hidden"
    good = {"p": 4, "m": 8, "v": 2, "group_size": 0, "forward": 1, "send": 1, "weight": 1}
    set_to(explorer, **good, memory_limit=0)
    assert text_of(explorer.message) == ""
    assert not explorer.pictures.stale


def test_a_broken_memory_limit_is_said_and_drawn_and_a_kept_one_is_quiet() -> None:
    explorer = explore("1f1b", 8, 32, memory_limit=5)
    assert text_of(explorer.message) == (
        "1f1b keeps up to 8 activations alive, more than the memory limit of 5 on devices 0, 1, 2: "
        "choose a family with a lower peak"
    )
    assert explorer.lines["now"]["memory"]["limits"] == [5]
    set_to(explorer, family="v-half")
    assert text_of(explorer.message) == ""
    set_to(explorer, memory_limit=0)
    assert explorer.lines["now"]["memory"]["limits"] == []


def test_the_bound_is_that_of_the_limit() -> None:
    found = played(Setting("v-half", 8, 32, memory_limit=5)).facts
    schedule = sim.FAMILIES["v-half"](8, 32)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    assert found.lower_bound_makespan == sim.search.lower_bound(schedule, costs, memory_limit=5)
    assert found.lower_bound_longest_stage == sim.search.lower_bound(
        schedule, costs, memory_limit=5, clock="longest_stage"
    )
    assert played(Setting("v-half", 8, 32, memory_limit=0.25)).facts.lower_bound_makespan is None


def test_a_limit_below_one_microbatch_is_said_to_fit_nothing_in_facts_and_python_alike() -> None:
    explorer = explore("zb-v", 4, 8, memory_limit=0.75)
    assert text_of(explorer.message) == (
        "nothing fits into a memory limit of 0.75 shares: the smallest that can be met is 1, one "
        "microbatch at a time"
    )
    assert "its lower bound nothing fits" in text_of(explorer.facts)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(explorer.code.value, {})
    assert "lower bound None" in said.getvalue()


def test_many_devices_over_the_limit_are_counted() -> None:
    assert (
        "limit of 5 on 14 of 17 devices"
        in played(Setting("eager-1f1b", 17, 32, memory_limit=5)).complaint
    )


def test_numbers_within_the_sliders_are_drawn_or_leave_the_last_picture() -> None:
    explorer = explore("v-zb", 32, 64)
    assert explorer.now is not None
    assert len(drawn(explorer)[0]["bars"]["start"]) == 32 * 64 * 2 * 3


def test_a_pin_of_other_work_says_so_and_compares_each_microbatch() -> None:
    explorer = explore("1f1b", 4, 32)
    explorer.pin.value = True
    assert "Not the same work" not in text_of(explorer.facts)
    assert "per microbatch" not in text_of(explorer.facts)
    set_to(explorer, m=64, forward=20)
    now, was = explorer.now, explorer.pinned
    assert now is not None
    assert was is not None
    text = text_of(explorer.facts)
    assert "Not the same work: microbatches 64 against 32, forward 20 against 10." in text
    assert f"per microbatch {now.facts.makespan / 64 / (was.facts.makespan / 32):.4f}" in text


def test_a_pinned_schedule_stays_while_the_other_changes() -> None:
    explorer = explore("1f1b", 4, 8)
    was = bars_of(explorer.lines["now"])
    explorer.pin.value = True
    assert len(drawn(explorer)) == 2
    set_to(explorer, family="zb-h2", forward=30)
    assert bars_of(explorer.lines["pinned"]) == was
    assert bars_of(explorer.lines["now"]) == bars_of(packed(direct(explorer)))
    assert "pinned: 1f1b" in text_of(explorer.facts)
    assert 'sim.FAMILIES["1f1b"](4, 8)' in explorer.code.value
    explorer.pin.value = False
    assert len(drawn(explorer)) == 1
    assert "pinned" not in text_of(explorer.facts)


def test_nothing_is_pinned_where_there_is_nothing_to_pin() -> None:
    explorer = set_to(explore("interleaved", 4, 8), group_size=2)
    explorer.pin.value = True
    assert explorer.pin.value is False
    assert explorer.pinned is None


def test_the_button_shows_python_and_hides_it_again() -> None:
    explorer = explore("zb-v", 4, 8)
    assert explorer.code.layout.display == "none"
    assert explorer.show_code.description == "Show the Python"
    explorer.show_code.value = True
    assert explorer.code.layout.display == ""
    assert explorer.show_code.description == "Hide the Python"
    explorer.show_code.value = False
    assert explorer.code.layout.display == "none"


@pytest.mark.parametrize(
    "setting",
    [
        Setting("v-half", 8, 32, memory_limit=5),
        Setting("seq1f1b-interleaved", 4, 8, {"v": 2, "slices": 2, "group_size": 4}),
        Setting("1f1b", 3, 5, {"v": 7}, forward=0.1, backward=0.2, weight=0.3, send=0.05),
    ],
)
def test_the_python_that_is_shown_gives_what_is_shown(setting: Setting) -> None:
    names: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code(setting, pinned=Setting("zb-h1", 4, 8)), names)
    facts = played(setting).facts
    assert sim.makespan(names["trace"]) == facts.makespan
    assert sim.longest_stage(names["trace"]) == facts.longest_stage
    assert f"lower bound {facts.lower_bound_makespan}\n" in said.getvalue()
    assert names["pinned_schedule"] == sim.FAMILIES["zb-h1"](4, 8)


def test_it_starts_where_it_is_told_to_and_refuses_what_it_does_not_know() -> None:
    explorer = explore("interleaved", 4, 8, v=4, group_size=8, forward=2, memory_limit=3)
    options = {"v": 4, "slices": 2, "group_size": 8}
    assert explorer.setting == Setting("interleaved", 4, 8, options, forward=2, memory_limit=3)
    with pytest.raises(ValueError, match=r"unknown family 'zbv': did you mean zb-v"):
        explore("zbv")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"p": 0}, "devices is 0: it must be a whole number >= 1"),
        ({"m": 2.5}, "microbatches is 2.5: it must be a whole number >= 1"),
        ({"forward": "x"}, "forward is 'x': it must be a number"),
        ({"memory_limit": -1}, "memory limit is -1: it must not be negative"),
    ],
)
def test_a_start_that_no_slider_could_show_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        explore("v-half", **wrong)


def test_a_notebook_can_show_it() -> None:
    bundle = explore("1f1b", 2, 2)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_asking_for_it_twice_gives_the_function_both_times() -> None:
    assert sim.explore is sim.explore is explore


CONDITIONS = [
    {"slow_device": 2, "slow_factor": 1.5},
    {"last_factor": 2},
    {"wire": 3},
    {"receives": "just-in-time"},
    {"activation": 1, "capacity": 9},
    {"jitter": 0.2},
    {"frozen": 2},
    {"recompute": "late"},
    {"recompute": "in waits"},
    {"offload": True, "copy": 4},
    {"frozen": 1, "recompute": "late", "offload": True, "wire": 1, "last_factor": 1.5},
]


@pytest.mark.parametrize("given", CONDITIONS)
def test_every_condition_changes_what_is_played_and_its_python_plays_the_same(
    given: dict[str, Any],
) -> None:
    usual = Setting("1f1b", 4, 8)
    at = Setting("1f1b", 4, 8, conditions=Conditions(**given))
    found = played(at)
    names: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code(at), names)
    assert sim.makespan(names["trace"]) == found.facts.makespan
    assert sim.peak_bytes(names["trace"]) == sim.peak_bytes(found.trace)
    assert names["schedule"] == found.schedule
    bound = found.facts.lower_bound_makespan
    assert f"lower bound {bound}" in said.getvalue() or "jitter" in given
    assert bound is None or found.facts.makespan >= bound
    old = played(usual)
    same = (old.facts, sim.peak_bytes(old.trace), old.schedule)
    assert (found.facts, sim.peak_bytes(found.trace), found.schedule) != same
    for name in given:
        assert name.replace("_", " ") in drawn(explore_at(at))[0]["title"]


def explore_at(at: Setting) -> Explorer:
    explorer = explore(at.family, at.devices, at.microbatches)
    return set_to(explorer, **vars(at.conditions))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"slow_device": 9, "slow_factor": 2}, "slow device is 9, but there are 4, counted from 0"),
        ({"frozen": 4}, "frozen stages are 4 of 4: at least one has to train"),
        ({"capacity": 3}, "a capacity needs the bytes of activations"),
        ({"activation": 1, "capacity": 3}, "out of memory"),
    ],
)
def test_conditions_that_make_no_sense_give_one_sentence(
    given: dict[str, Any], sentence: str
) -> None:
    explorer = set_to(explore("1f1b", 4, 8), **given)
    assert sentence in text_of(explorer.message)
    assert explorer.now is None


@pytest.mark.parametrize("family", ["v-half", "1f1b", "gis"])
def test_it_says_what_the_family_is(family: str) -> None:
    text = text_of(explore(family, 4, 8).about)
    rule = sim.FAMILIES[family]
    for word in (rule.bubble, rule.peak, rule.source, rule.placement):
        assert word in text
    assert ("<svg" in explore(family, 4, 8).about.value) == (family == "v-half")


def test_every_knob_and_every_number_has_a_tip() -> None:
    explorer = explore("1f1b", 4, 8)
    assert all(control.tooltip for control in explorer.controls.values())
    explorer.pin.value = True
    set_to(explorer, m=12)
    tips = re.findall(r'<th scope="row" title="([^"]*)">', explorer.facts.value)
    assert len(tips) > 8
    assert all(tips)


def test_an_address_brings_back_what_it_was_made_of() -> None:
    one = set_to(explore("zb-v", 5, 9), wire=2, recompute="late", offload=True, send=0.5)
    other = explore("1f1b", 2, 2)
    other.pictures.asked = one.pictures.address
    assert other.setting == one.setting
    assert drawn(other) == drawn(one)
    other.pictures.asked = "family=nonsense&p=x&send=2"
    assert other.setting.send == 2
    assert other.setting.family == "zb-v"


def test_all_families_are_shown_with_the_one_that_is_played() -> None:
    explorer = explore("v-half", 4, 8)
    assert explorer.front.value == ""
    explorer.show_front.value = True
    html = explorer.front.value
    shown = set(re.findall("data-name='([^']+)'", html))
    assert {"1f1b", "v-half", "zb-v"} <= shown
    assert "href='#family=zb-v'" in html
    assert html.count("class='chosen'") == 1
    ring = html.index("class='chosen'")
    assert html.rindex("data-name=", 0, ring) == html.index("data-name='v-half'")


def test_a_search_tells_its_bound_and_draws_what_it_found() -> None:
    now = played(Setting("1f1b-v", 2, 4))
    words, trace = better(now, moves=50_000)
    assert trace is not None
    assert f"makespan {sim.makespan(trace):g}, against {now.facts.makespan:g} of 1f1b-v" in words
    assert "no order is faster" in words
    assert max(sim.peak_activations(trace.schedule)) <= now.facts.peak
    with pytest.raises(ValueError, match="put these knobs back first"):
        better(played(Setting("1f1b-v", 2, 4, conditions=Conditions(wire=1))))


def test_the_first_screen_says_what_a_family_is_and_why_it_is_slower_here() -> None:
    explorer = sim.explore("v-half", 8, 32, forward=10, backward=12, weight=8, send=1)
    words = text_of(explorer.about)
    assert words.startswith("V-Half: half the memory of 1F1B")
    trace = direct(explorer)
    account = sim.idle_account(trace)
    usual = sim.makespan(direct(explore("1f1b", 8, 32)))
    assert (
        f"Here: {sim.makespan(trace):,} an iteration with the activations of 5 microbatches, "
        f"against {usual:,} with 8 in 1f1b; of "
    ) in words
    assert f"of {sim.makespan(trace):,}, a device works {account['busy'].mean():g}" in words
    assert f"{account['waiting_for_input'].mean():.4g} waiting for passes" in words
    schedule = trace.schedule
    equal = sim.Costs.uniform(schedule, forward=10, backward=10, weight=10, send=1)
    even = sim.makespan(sim.simulate(schedule, equal))
    assert f"the same work in equal passes would take {even:,}." in words
    set_to(explorer, backward=10, weight=10)
    assert "equal passes" not in text_of(explorer.about)
    set_to(explorer, family="1f1b")
    assert "against" not in text_of(explorer.about)
    set_to(explorer, family="dualpipe", p=3)
    assert "a device works" not in text_of(explorer.about)


@pytest.mark.parametrize("limit", [None, 0.5])
def test_less_than_a_share_fits_where_activations_are_recomputed(limit: float | None) -> None:
    """Of two stages a device rebuilds one activation at a time: half of its share."""
    at = Setting("looped-bfs", 2, 3, memory_limit=limit, conditions=Conditions(recompute="late"))
    now = played(at)
    assert now.facts.peak == 0.5
    bound = now.facts.lower_bound_makespan
    assert bound is not None
    assert bound <= now.facts.makespan
    assert not now.complaint
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code(at), {})
    assert f"lower bound {bound}" in printed.getvalue().splitlines()


@pytest.mark.parametrize("name", ["chimera", "dualpipe", "vocab-1f1b", "v-half"])
@pytest.mark.parametrize("factor", [2, 0.5])
def test_one_device_is_slow_whatever_stages_others_share_with_it(name: str, factor: float) -> None:
    """8 microbatches of 10 + 12 + 8 each take 240; a stage of two directions is on two devices."""
    now = played(Setting(name, 4, 8, conditions=Conditions(slow_device=1, slow_factor=factor)))
    assert sim.busy(now.trace) == (240, 240 * factor, 240, 240)
    bound = now.facts.lower_bound_makespan
    assert bound is not None
    assert bound <= now.facts.makespan
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code(now.setting), {})
    assert f"lower bound {bound}" in printed.getvalue().splitlines()
    assert printed.getvalue().startswith(f"makespan {now.facts.makespan} ")


@pytest.mark.parametrize("name", ["1f1b", "chimera", "vocab-1f1b", "vocab-v-half"])
def test_whatever_has_bytes_crosses_a_wire(name: str) -> None:
    trace = played(Setting(name, 4, 8, conditions=Conditions(wire=2))).trace
    assert (trace.transfers["link"] != "").all()
