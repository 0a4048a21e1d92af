"""The time line of pages and the explorer: what is in it, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from browser import Opened, dragged, mouse, needs_a_browser, wait
from hypothesis import given
from hypothesis import strategies as st

import sim
from sim.metrics.idle_gaps import idle_gaps
from sim.metrics.metrics import Idle
from sim.metrics.summary import summary
from sim.show.bars import bars, hovers
from sim.show.report import page
from sim.show.timeline import packed

HERE = "#timeline canvas"
RANGE = "document.getElementById('timeline').dataset.range"


def played(family: str, p: int, m: int, **more: Any) -> sim.Trace:
    schedule = sim.FAMILIES[family](p, m)
    costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
    return sim.simulate(schedule, costs, **more)


def report(*families: str, p: int = 4, m: int = 8) -> str:
    traces = [played(name, p, m) for name in families]
    return page([(summary(trace), trace) for trace in traces])


# -- as data --------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(sim.FAMILIES)), st.integers(2, 4), st.integers(1, 3), st.booleans())
def test_the_stretches_of_idle_time_add_up_to_the_idle_account(
    family: str, p: int, iterations: int, jitter: bool
) -> None:
    if "both ways" in sim.FAMILIES[family].placement:
        p += p % 2  # two directions mirror each other on an even number of devices
    schedule = sim.FAMILIES[family](p, 2 * p)
    # Every stage and slice of them takes a whole number, of which sums are exact.
    costs = sim.Costs.uniform(
        schedule, forward=120, backward=144, weight=96, send=12, gradient_sum=36
    )
    trace = sim.simulate(schedule, costs, iterations=iterations, jitter=0.1 * jitter)
    account = sim.idle_account(trace)
    gaps = list(idle_gaps(trace))
    for device in range(p):
        for reason in Idle._fields:
            found = sum(g.end - g.start for g in gaps if (g.device, g.reason) == (device, reason))
            expected = account[reason][device]
            assert found == (pytest.approx(expected) if jitter else expected)


def test_a_time_line_holds_every_pass_what_it_waited_for_and_the_phases() -> None:
    line = packed(played("1f1b", 2, 3), title="mine", unit="ms")
    json.dumps(line, allow_nan=False)
    bars = line["bars"]
    kinds = [line["shades"][i]["kind"] for i in bars["shade"]]
    parts = zip(kinds, bars["first"], bars["stage"], strict=True)
    names = [f"{kind}{m}@{s}" for kind, m, s in parts]
    waited = {names[i]: names[j] for i, j in enumerate(line["bars"]["source"]) if j >= 0}
    assert waited["F0@1"] == "F0@0"
    assert waited["BW2@0"] == "BW2@1"
    assert "F0@0" not in waited
    # Device 0 begins its first backward pass at 42, device 1 ends its last forward pass at 81.
    ops = played("1f1b", 2, 3).ops
    first = ops[ops["kind"] == "BW"].groupby("device")["start"].min().max()
    last = ops[ops["kind"] == "F"].groupby("device")["end"].max().min()
    assert line["phases"]["steady state"] == [first, last]
    assert line["phases"]["cool-down"] == [last, ops["end"].max()]


def test_columns_of_one_number_are_that_number() -> None:
    both = sim.forward_only(sim.FAMILIES["gpipe"](1, 1))
    bars = packed(sim.simulate(both, sim.Costs.uniform(both, forward=2)))["bars"]
    assert (bars["n"], bars["start"], bars["length"], bars["cause"]) == (1, 0, 2, {})
    assert len(packed(played("1f1b", 2, 3))["bars"]["start"]) == 2 * 3 * 2


def test_times_beyond_what_an_int64_holds_are_drawn_where_they_are() -> None:
    schedule = sim.FAMILIES["1f1b"](1, 2)
    trace = sim.simulate(
        schedule, sim.Costs.uniform(schedule, forward=10**19, backward=0, weight=0)
    )
    assert sorted(packed(trace)["bars"]["start"]) == [0, 10**19, 10**19, 2 * 10**19]


def test_a_schedule_without_a_steady_state_says_so() -> None:
    assert "steady state" not in packed(played("gpipe", 4, 8))["phases"]
    forward = sim.forward_only(sim.FAMILIES["gpipe"](2, 2))
    assert packed(sim.simulate(forward, sim.Costs.uniform(forward)))["phases"] == {}


def test_links_are_rows_with_what_is_on_them() -> None:
    trace = played("1f1b", 3, 4)
    links = packed(trace)["links"]
    assert links["names"] == ["0→1", "1→0", "1→2", "2→1"]
    assert len(links["start"]) == len(trace.transfers)
    free = sim.simulate(trace.schedule, sim.Costs.uniform(trace.schedule))
    assert packed(free)["links"]["names"] == []


# -- in a browser ---------------------------------------------------------------------------------


def saved(driver: Any, button: str) -> str:
    """What a button of the time line saves."""
    driver.execute_script(
        "window.saved = ''; URL.createObjectURL = blob =>"
        " { blob.text().then(text => { window.saved = text; }); return '#'; };"
        "[...document.querySelectorAll('.tl-bar button, .tl-bar a')]"
        ".find(b => b.textContent === arguments[0]).dispatchEvent(new MouseEvent('click'))",
        button,
    )
    return str(wait(driver, "window.saved"))


def press(driver: Any, words: str) -> None:
    driver.execute_script(
        "[...document.querySelectorAll('.tl-bar button')]"
        ".find(b => b.value === arguments[0]).click()",
        words,
    )


def view(driver: Any) -> list[float]:
    return [float(edge) for edge in driver.execute_script(f"return {RANGE}").split()]


def numbers(picture: str) -> list[str]:
    """What is written on bars, in a picture that was saved."""
    return re.findall(r'text-anchor="middle">(\d+)<', picture.partition("live activations")[0])


@needs_a_browser
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_zooming_in_numbers_the_bars_and_all_pictures_go_along(opened: Opened, width: int) -> None:
    driver = opened(report("zb-v", p=8, m=24), width=width)
    before = numbers(saved(driver, "SVG"))
    dragged(driver, HERE, 150, 190)
    wait(driver, f"{RANGE}.split(' ')[0] > 0")
    from_, to = view(driver)
    ops = played("zb-v", 8, 24).ops
    seen = ops[(ops["start"] < to) & (ops["end"] > from_)]
    picture = saved(driver, "SVG")
    assert len(numbers(picture)) >= len(seen) > 0  # some are of the axis
    assert len(before) < len(ops) / 4
    ticks = [re.findall(r'<text x="([\d.]+)"[^>]*middle">([\d.,]+)<', part)
             for part in re.split("Time line|live activations|Idle time", picture)[1:]]  # fmt: skip
    assert set(ticks[1]) <= set(ticks[0]), "memory has the axis of the time line"
    assert driver.get_log("browser") == []


@needs_a_browser
def test_the_browser_says_of_every_bar_what_hovering_in_a_notebook_does(opened: Opened) -> None:
    costs = {"forward": 12, "backward": 16, "weight": 8, "send": 1, "gradient_sum": 36}
    lines, words = [], []
    plays: list[tuple[str, int, Any]] = [
        ("2bp-gpipe", 1, None),
        ("seq1f1b", 2, None),
        ("dualpipe", 1, None),
        ("vocab-1f1b", 1, None),
        ("dualpipe-v", 1, (30, 80)),
    ]
    for family, iterations, window in plays:
        schedule = sim.FAMILIES[family](2, 4)
        trace = sim.simulate(schedule, sim.Costs.uniform(schedule, **costs), iterations=iterations)
        lines.append(packed(trace, window=window))
        several = trace.iterations > 1
        for text in hovers(bars(trace, window), several=several):
            words.append(text.replace("<b>", "").replace("</b>", "").split("<br>"))
    driver = opened(report("1f1b", p=1, m=1))
    found = driver.execute_script(
        "return arguments[0].map(barWords.full)"
        ".flatMap(line => line.bars.start.map((_, i) => barWords.told(line, i)))",
        lines,
    )
    assert found == words
    assert any("after its last pass" in line[1] for line in words)
    assert any("more in one kernel" in line[0] for line in words)


@needs_a_browser
def test_a_part_stays_while_it_exists_and_a_double_click_shows_all(opened: Opened) -> None:
    driver = opened(report("v-min", "1f1b", "zb-v", p=4, m=8))
    ends = {name: float(sim.makespan(played(name, 4, 8))) for name in ("v-min", "1f1b", "zb-v")}
    assert ends["v-min"] > ends["1f1b"] > ends["zb-v"]
    press(driver, "steady state")
    wait(driver, f"{RANGE}.split(' ')[0] > 0")
    for name in ("1f1b", "v-min"):  # the steady state of each
        driver.execute_script("location.hash = arguments[0]", name)
        wait(driver, f"document.getElementById('schedule').dataset.shown === '{name}'")
        assert view(driver) == packed(played(name, 4, 8))["phases"]["steady state"]
    canvas = "document.querySelector('#timeline canvas')"
    wide = driver.execute_script(f"return {canvas}.clientWidth")
    press(driver, "all")
    dragged(driver, HERE, wide - 40, wide - 15)
    wait(driver, f"{RANGE}.split(' ')[0] > {ends['zb-v']}")
    driver.execute_script("location.hash = 'zb-v'")
    wait(driver, "document.getElementById('schedule').dataset.shown === 'zb-v'")
    assert view(driver) == [0, ends["zb-v"]], "what is not there cannot be looked at"
    dragged(driver, HERE, 200, 400)
    wait(driver, f"{RANGE}.split(' ')[0] > 0")
    kept = view(driver)
    driver.execute_script("location.hash = '1f1b'")
    wait(driver, "document.getElementById('schedule').dataset.shown === '1f1b'")
    assert view(driver) == kept
    driver.execute_script(f"{canvas}.dispatchEvent(new MouseEvent('dblclick'))")
    wait(driver, f"{RANGE} === '0 {ends['1f1b']:g}'")


@needs_a_browser
def test_pointer_and_keyboard_tell_the_same_of_a_pass(opened: Opened) -> None:
    driver = opened(report("1f1b", p=2, m=3))
    tip = "document.querySelector('.tl-tip').innerText"
    key = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
    driver.execute_script("document.querySelector('#timeline canvas').focus()")
    found = []
    for name in ("ArrowRight", "ArrowRight", "ArrowDown"):
        driver.execute_script(key, name)
        found.append(driver.execute_script(f"return {tip}").split("\n")[0].split()[0])
    assert found == ["F0@0", "F1@0", "F0@1"]
    left, top = driver.execute_script(
        "document.activeElement.blur(); const part = document.querySelector('#timeline canvas');"
        "const box = part.getBoundingClientRect(); return [box.left, box.top]"
    )
    plain = driver.execute_script("return document.querySelector('#timeline canvas').toDataURL()")
    mouse(driver, "mouseMoved", left + 76, top + 10)
    wait(driver, f"{tip}.startsWith('F0@0 forward on device 0')")
    wait(driver, f"document.querySelector('#timeline canvas').toDataURL() !== {json.dumps(plain)}")


@needs_a_browser
def test_links_table_and_files_hold_what_was_played(opened: Opened) -> None:
    driver = opened(report("zb-h1", p=3, m=4))
    trace = played("zb-h1", 3, 4)
    press(driver, "links")
    assert driver.execute_script("return document.querySelectorAll('#timeline canvas').length") == 4
    driver.execute_script("document.querySelector('.tl-table').open = true")
    wait(driver, "document.querySelectorAll('.tl-table tbody tr').length")
    lines = driver.execute_script("return document.querySelectorAll('.tl-table tbody tr').length")
    assert lines == len(trace.ops)
    events = json.loads(saved(driver, "Perfetto"))["traceEvents"]
    slices = [(e["tid"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    ops = trace.ops
    spans = zip(ops["device"], ops["start"], ops["end"] - ops["start"], strict=True)
    assert sorted(slices) == sorted(spans)
    assert saved(driver, "SVG").startswith("<svg")
    assert "PNG" in saved(driver, "PNG")[:8]


@needs_a_browser
def test_the_widget_draws_fades_and_draws_again(opened: Opened) -> None:
    explorer = sim.explore("1f1b", 4, 8)
    first = explorer.pictures.lines
    explorer.pin.value = True
    explorer.controls["family"].value = "zb-h2"
    states = json.dumps([first.decode(), explorer.pictures.lines.decode()]).replace("<", "\\u003c")
    script = str(explorer.pictures._esm).replace("export default { render };", "")
    driver = opened(
        "<!doctype html><meta charset=utf-8><body><div id=here></div><script type=module>"
        + script.replace("</script", "<\\/script")
        + f"let now = 0, stale = false; const told = {{}}, states = {states};"
        "const bytes = text => new DataView(new TextEncoder().encode(text).buffer);"
        "const model = {get: name => name === 'stale' ? stale : bytes(states[now]),"
        " on: (name, f) => { told[name] = f }, off: () => {},"
        " set: (name, value) => { window[name] = value }, save_changes: () => {}};"
        "window.next = () => { now = 1; told['change:lines']() };"
        "window.fade = () => { stale = true; told['change:stale']() };"
        "render({model, el: document.getElementById('here')});</script>",
        ready="document.querySelectorAll('canvas').length === 3",
    )
    driver.execute_script("window.next(); window.fade()")
    titles = driver.execute_script(
        "return [...document.querySelectorAll('figcaption')].map(t => t.textContent)"
    )
    assert [title.split(":")[0] for title in titles] == ["zb-h2", "1f1b"] * 3
    assert driver.execute_script("return document.querySelector('.tl').style.opacity") == "0.35"
    driver.execute_script("location.hash = '#family=zb-v'")
    wait(driver, "window.asked === 'family=zb-v'")
    assert driver.get_log("browser") == []
