"""The explorer: what the widgets say is what is played, shown, and written as Python."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

import sim
from sim.show.explorer import Explorer, Setting, code, explore, played

EVERY = sorted(sim.FAMILIES)


def set_to(explorer: Explorer, **values: Any) -> Explorer:
    for name, value in values.items():
        explorer.controls[name].value = value
    return explorer


def text_of(widget: Any) -> str:
    """What a person reads of an HTML widget."""
    html = re.sub(r"<style>.*?</style>", "", widget.value, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def bars_of(figure: Any) -> list[tuple[Any, ...]]:
    """Name, start, length and row of every bar that is drawn."""
    return sorted(
        (part.name, float(base), float(x), float(y))
        for part in figure.data
        for base, x, y in zip(part.base, part.x, part.y, strict=True)
    )


def drawn(explorer: Explorer) -> list[Any]:
    """The figures that the page is told to draw."""
    return list(json.loads(explorer.pictures.figures))


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
    set_to(shared, family=family)
    trace = direct(shared)
    assert shared.now is not None
    facts = shared.now.facts
    assert (facts.makespan, facts.longest_stage) == (sim.makespan(trace), sim.longest_stage(trace))
    assert facts.bubble_makespan == sim.bubble(trace)
    assert facts.bubble_longest_stage == sim.bubble(trace, "longest_stage")
    assert facts.peak == max(sim.peak_activations(trace.schedule))
    assert bars_of(shared.figures["time line"]) == bars_of(sim.gantt(trace))
    assert drawn(shared) == [json.loads(figure.to_json()) for figure in shared.figures.values()]
    assert family in shared.figures["time line"].layout.title.text
    assert f"{facts.bubble_makespan:.2%}" in text_of(shared.facts)
    assert text_of(shared.message) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("p", 5), ("m", 11), ("v", 3), ("forward", 20), ("backward", 3), ("weight", 1), ("send", 4)],
)
def test_turning_any_knob_changes_time_line_memory_and_code(name: str, value: int) -> None:
    explorer = explore("looped-bfs", 4, 8)
    before = (
        bars_of(explorer.figures["time line"]),
        explorer.figures["memory"].data[0].x.tolist(),
        explorer.code.value,
    )
    set_to(explorer, **{name: value})
    after = (
        bars_of(explorer.figures["time line"]),
        explorer.figures["memory"].data[0].x.tolist(),
        explorer.code.value,
    )
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[0] == bars_of(sim.gantt(direct(explorer)))


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
        ("gis", {"p": 32, "m": 128, "v": 8}, "12,000"),
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
    assert explorer.pictures.layout.visibility == "hidden"
    assert explorer.facts.layout.visibility == "hidden"
    good = {"p": 4, "m": 8, "v": 2, "group_size": 0, "forward": 1, "send": 1, "weight": 1}
    set_to(explorer, **good, memory_limit=0)
    assert text_of(explorer.message) == ""
    assert explorer.pictures.layout.visibility == "visible"


def test_a_broken_memory_limit_is_said_and_drawn_and_a_kept_one_is_quiet() -> None:
    explorer = explore("1f1b", 8, 32, memory_limit=5)
    assert text_of(explorer.message) == (
        "1f1b keeps up to 8 activations alive, more than the memory limit of 5 on devices 0, 1, 2: "
        "choose a family with a lower peak"
    )
    assert [shape.y0 for shape in explorer.figures["memory"].layout.shapes] == [5]
    set_to(explorer, family="v-half")
    assert text_of(explorer.message) == ""
    set_to(explorer, memory_limit=0)
    assert not explorer.figures["memory"].layout.shapes


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


def test_all_pictures_share_one_axis_of_time() -> None:
    explorer = explore("1f1b", 12, 16)
    explorer.pin.value = True
    set_to(explorer, family="v-half")
    found = [(one["layout"]["margin"]["l"], one["layout"]["xaxis"]["range"], one["layout"]["yaxis"])
             for one in drawn(explorer)]  # fmt: skip
    assert len({(left, *span) for left, span, _ in found}) == 1
    assert all(axis["automargin"] is False for *_, axis in found)


def test_a_pinned_schedule_stays_while_the_other_changes() -> None:
    explorer = explore("1f1b", 4, 8)
    was = bars_of(explorer.figures["time line"])
    explorer.pin.value = True
    assert len(drawn(explorer)) == 4
    set_to(explorer, family="zb-h2", forward=30)
    assert bars_of(explorer.figures["pinned time line"]) == was
    assert bars_of(explorer.figures["time line"]) == bars_of(sim.gantt(direct(explorer)))
    both = explorer.figures["time line"], explorer.figures["pinned time line"]
    assert both[0].layout.xaxis.range == both[1].layout.xaxis.range
    assert (
        explorer.figures["memory"].layout.yaxis.range
        == explorer.figures["pinned memory"].layout.yaxis.range
    )
    assert "pinned: 1f1b" in text_of(explorer.facts)
    assert 'sim.FAMILIES["1f1b"](4, 8)' in explorer.code.value
    explorer.pin.value = False
    assert len(drawn(explorer)) == 2
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
    with pytest.raises(ValueError, match=r"unknown family 'zbv': sim.FAMILIES has"):
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
    assert isinstance(explore("1f1b", 2, 2).figures["time line"], go.Figure)


def test_asking_for_it_twice_gives_the_function_both_times() -> None:
    assert sim.explore is sim.explore is explore


@pytest.mark.slow
def test_a_browser_draws_the_figures_and_draws_them_again_when_they_change(tmp_path: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chrome, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chrome and driver_path):
        pytest.skip("no chromium with its chromedriver on this machine")
    explorer = explore("1f1b", 4, 8)
    first = explorer.pictures.figures
    explorer.pin.value = True
    set_to(explorer, family="zb-h2")
    states = f"[{json.dumps(first)}, {json.dumps(explorer.pictures.figures)}]"
    script = explorer.pictures._esm.replace("export default { render };", "")
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><body><div id=here></div><script type=module>"
        + script.replace("</script", "<\\/script")
        + "let now = 0, told; const states = " + states.replace("<", "\\u003c") + ";"
        "const model = {get: () => states[now], on: (_, f) => { told = f }, off: () => {}};"
        "window.next = () => { now = 1; told() };"
        "render({model, el: document.getElementById('here')});</script>"
    )  # fmt: skip
    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    try:
        browser.get(page.as_uri())
        assert until(browser, "document.querySelectorAll('.bars .point').length") == 4 * 8 * 2
        assert (
            browser.execute_script("return document.querySelectorAll('.svg-container').length") == 2
        )
        browser.execute_script("window.next()")
        assert until(browser, "document.querySelectorAll('.svg-container').length == 4")
        titles = browser.execute_script(
            "return [...document.querySelectorAll('figcaption')].map(t => t.textContent)"
        )
        assert [title.split(":")[0] for title in titles] == [
            "zb-h2", "1f1b", "memory of zb-h2", "memory of 1f1b",
        ]  # fmt: skip
        for width in (375, 1000, 700):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            lowest = browser.execute_async_script(
                f"const done = arguments[0]; setTimeout(() => done({LOWEST}), 500)"
            )
            assert lowest > 200, "a picture is lost when the window changes"
        assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        browser.quit()


LOWEST = """Math.min(...[...document.querySelectorAll('[role=img]')]
    .map(part => part.querySelector('.svg-container').getBoundingClientRect().height))"""


def until(browser: Any, expression: str) -> Any:
    """The value of a JavaScript expression as soon as it is truthy."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60, 0.1).until(
        lambda driver: driver.execute_script(f"return {expression}")
    )
