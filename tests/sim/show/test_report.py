"""The page: complete in itself, and alive in a real browser."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from browser import Opened, needs_a_browser, resize, wait

import sim
from sim.cli.commands import main
from sim.metrics.summary import summary
from sim.show.pages import chart_page
from sim.show.report import page
from sim.show.scatter_svg import scatter_svg

FAMILIES = ("1f1b", "zb-h2", "zb-v", "dualpipe-v")


def rows(*families: str, p: int = 4, m: int = 8, **costs: Any) -> list[tuple[dict[str, Any], Any]]:
    found = []
    for name in families:
        schedule = sim.FAMILIES[name](p, m)
        given = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1, **costs)
        trace = sim.simulate(schedule, given)
        found.append((summary(trace, costs=given), trace))
    return found


def shown(html: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


# -- as text ------------------------------------------------------------------------------------


def test_the_page_names_both_clocks_for_every_schedule() -> None:
    text = shown(page(rows(*FAMILIES), facts={"forward": "10"}))
    for name in FAMILIES:
        assert f">{name}</a>" in text
    assert "makespan" in text
    assert "longest stage" in text
    assert "the bubble" not in text.lower()
    assert "<dt>forward</dt><dd>10</dd>" in text


def test_the_page_refers_to_nothing_outside_and_needs_no_plotly() -> None:
    html = page(rows(*FAMILIES))
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:)", html
    )
    assert "plotly.js v" not in html
    assert "@import" not in html


def test_a_page_of_sixteen_devices_and_every_family_stays_small() -> None:
    assert len(page(rows("v-half", "1f1b", p=16, m=64))) < 500_000


@pytest.mark.parametrize("width", [350, 680])
def test_every_dot_of_the_scatter_has_a_name(width: int) -> None:
    found = [row for row, _ in rows(*sim.FAMILIES, p=4, m=8)]
    picture = scatter_svg(
        [row["schedule"] for row in found],
        [max(row["peak_activations"]) for row in found],
        [100 * row["bubble_makespan"] for row in found],
        y="bubble (%)",
        width=width,
    )
    dots = re.findall(r"<a class='dot'.*?</a>", picture)
    spots = {re.search(r"c[xy]='[^']+' c[xy]='[^']+'", dot)[0] for dot in dots}  # type: ignore[index]
    assert sum("<text" in dot for dot in dots) == len(spots) > 10
    outside = set(sim.FAMILIES) - set(re.findall(r"data-name='([^']+)'", picture))
    assert all(f">{name} (" in picture for name in outside)


def test_a_schedule_that_cannot_be_played_stands_on_the_page_with_its_reason() -> None:
    failed = ({"schedule": "interleaved", "error": "m is 7: it must be <even>"}, None)
    text = shown(page([*rows("1f1b"), failed]))
    assert "<b>interleaved</b>: m is 7: it must be &lt;even&gt;" in text


def test_a_name_from_a_file_cannot_become_markup() -> None:
    name = "</script><script>document.title='taken'</script>"
    found, trace = rows("1f1b")[0]
    html = page([({**found, "schedule": name}, trace), *rows("zb-h1")], note=name)
    assert "<script>document.title" not in html


def test_the_same_question_gives_the_same_page() -> None:
    assert page(rows("zb-h1", "1f1b")) == page(rows("zb-h1", "1f1b"))


def test_a_page_about_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one schedule"):
        page([({"schedule": "1f1b", "error": "no"}, None)])


def test_a_page_of_charts_holds_its_table_and_shows_names_as_text() -> None:
    name = "</script><script>document.title='taken'</script>"
    figure = go.Figure(layout={"font": {}})
    html = chart_page(
        name, {name: figure, "b": figure}, heading=name, facts={name: name}, note=name,
        command=name, reading={name: [name]},
        table=[{name: name, "x": 1234567, "y": (0.5, "50%"), "z": None}],
    )  # fmt: skip
    assert "<script>document.title" not in html
    cells = '<td data-value="1234567.0">1,234,567</td><td data-value="0.5">50%</td><td></td>'
    assert cells in shown(html)
    with pytest.raises(ValueError, match="at least one figure"):
        chart_page("nothing", {})


def test_a_bound_is_explained_where_there_is_one() -> None:
    ((found, trace),) = rows("1f1b")
    assert "The bound" in shown(page([(found, trace)]))
    assert "The bound" not in shown(page([({**found, "gap": None}, trace)]))


def test_a_very_long_time_line_says_what_it_leaves_out() -> None:
    html = page(rows("1f1b", p=8, m=900))
    assert "Shown are the first 12,000 of 14,400 passes." in html


# -- in a browser -------------------------------------------------------------------------------


def pick(browser: Any, name: str) -> None:
    browser.execute_script(
        "[...document.querySelectorAll('.picker :is(a, button)')]"
        ".find(button => button.textContent === arguments[0]).click()",
        name,
    )


def choose(browser: Any, name: str) -> None:
    pick(browser, name)
    wait(browser, f"document.getElementById('schedule').dataset.shown === {json.dumps(name)}")


CANVASES = "[...document.querySelectorAll('#timeline canvas')]"


@needs_a_browser
def test_the_page_opens_from_a_file_with_all_charts_and_no_error(opened: Opened) -> None:
    driver = opened(page(rows(*FAMILIES)))
    for figure in (".broad svg", "#timeline canvas"):
        assert driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(part =>"
            " part.getBoundingClientRect()).every(box => box.width > 300 && box.height > 70)",
            figure,
        ), figure
    assert driver.execute_script(f"return {CANVASES}.length") == 3
    assert driver.get_log("browser") == []
    requests = [
        message["params"]["request"]["url"]
        for entry in driver.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert [
        url for url in requests if not url.startswith(("file:", "data:", "blob:", "about:"))
    ] == []


@needs_a_browser
def test_a_click_on_a_family_changes_time_line_memory_idle_time_and_facts(opened: Opened) -> None:
    driver = opened(page(rows(*FAMILIES)))
    seen = set()
    for name in FAMILIES:
        choose(driver, name)
        pictures = driver.execute_script(f"return {CANVASES}.map(canvas => canvas.toDataURL())")
        cards = driver.execute_script("return document.getElementById('cards').textContent")
        seen.add((*pictures, cards))
        assert "makespan" in cards
        assert "longest stage" in cards
    for column in zip(*seen, strict=True):
        assert len(set(column)) == len(FAMILIES)
    assert driver.get_log("browser") == []


@needs_a_browser
def test_the_address_says_which_schedule_is_shown(opened: Opened) -> None:
    html = page(rows(*FAMILIES))
    driver = opened(html, part="#zb-h2")
    assert (
        driver.execute_script(
            "return document.querySelector('tr:has([aria-current=true]) td').innerText"
        )
        == "zb-h2"
    )
    driver.execute_script("scrollTo(0, 0); document.querySelector('tbody tr:last-child').click()")
    last = driver.execute_script(
        "return document.querySelector('tbody tr:last-child td').innerText"
    )
    wait(driver, f"document.getElementById('schedule').dataset.shown === {json.dumps(last)}")
    assert driver.execute_script("return decodeURIComponent(location.hash)") == f"#{last}"
    assert abs(driver.execute_script(
        "return document.getElementById('schedule').getBoundingClientRect().top")) < 40  # fmt: skip
    driver.execute_script("history.back()")
    wait(driver, "document.getElementById('schedule').dataset.shown === 'zb-h2'")


@needs_a_browser
def test_a_dot_of_the_scatter_is_chosen_by_keyboard_and_by_a_click(opened: Opened) -> None:
    driver = opened(page(rows(*FAMILIES)))
    driver.execute_script("document.querySelector('.dot[data-name=zb-h2]').focus()")
    for kind in ("keyDown", "keyUp"):
        key = {
            "type": kind,
            "key": "Enter",
            "code": "Enter",
            "windowsVirtualKeyCode": 13,
            "text": "\r",
        }
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", key)
    wait(driver, "document.getElementById('schedule').dataset.shown === 'zb-h2'")
    driver.find_element("css selector", ".dot[data-name=zb-v]").click()
    wait(driver, "document.getElementById('schedule').dataset.shown === 'zb-v'")


@needs_a_browser
def test_a_click_on_a_row_of_the_table_chooses_it_too(opened: Opened) -> None:
    driver = opened(page(rows(*FAMILIES)))
    driver.execute_script("document.querySelector('tbody tr:last-child').click()")
    last = driver.execute_script(
        "return document.querySelector('tbody tr:last-child td').innerText"
    )
    wait(driver, f"document.getElementById('schedule').dataset.shown === {json.dumps(last)}")
    assert (
        driver.execute_script(
            "return document.querySelectorAll('tr:has([aria-current=true])').length"
        )
        == 1
    )


@needs_a_browser
def test_a_click_on_a_heading_sorts_by_number_and_back(opened: Opened) -> None:
    found = rows(*FAMILIES)
    driver = opened(page(found))
    names = "return [...document.querySelectorAll('tbody tr')].map(row => row.cells[0].innerText)"
    peaks = {row["schedule"]: max(row["peak_activations"]) for row, _ in found}
    for ascending in (True, False):
        driver.execute_script("document.querySelectorAll('th button')[5].click()")
        order = [peaks[name] for name in driver.execute_script(names)]
        assert order == sorted(order, reverse=not ascending)
    driver.execute_script("document.querySelectorAll('th button')[0].click()")
    assert driver.execute_script(names) == sorted(FAMILIES)


@needs_a_browser
@pytest.mark.parametrize(("width", "dark"), [(390, False), (768, True), (1440, True)])
def test_the_page_fits_every_screen(opened: Opened, width: int, dark: bool) -> None:
    driver = opened(
        page(rows(*FAMILIES), facts={"forward": "10"}, note="x" * 300), width=width, dark=dark
    )
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.execute_script(FAINT) == []
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    assert driver.get_log("browser") == []


@needs_a_browser
def test_pictures_keep_their_heights_when_the_window_changes(opened: Opened) -> None:
    driver = opened(page(rows(*FAMILIES)))
    boxes = f"{CANVASES}.map(part => [part.clientWidth, part.clientHeight, part.width])"
    before = driver.execute_script(f"return {boxes}")
    for width in (375, 900):
        resize(driver, width)
        wait(driver, f"{boxes}.every(([wide, , drawn]) => wide === drawn && wide < {width})")
        found = driver.execute_script(f"return {boxes}")
        assert [high for _, high, _ in found] == [high for _, high, _ in before]


@needs_a_browser
@pytest.mark.parametrize("width", [375, 768, 1440])
def test_no_two_words_of_a_scatter_lie_on_each_other(opened: Opened, width: int) -> None:
    driver = opened(_every_family(), width=width)
    assert driver.execute_script(OVERLAPS) == []


@functools.cache
def _every_family() -> str:
    return page(rows(*sim.FAMILIES, p=8, m=16))


OVERLAPS = """
const words = figure => [...figure.querySelectorAll('text')]
  .filter(word => word.textContent.trim() && getComputedStyle(word).visibility !== 'hidden')
  .map(word => [word.textContent, word.getBoundingClientRect()])
  .filter(([, box]) => box.width && box.height);
const found = [];
for (const figure of document.querySelectorAll('.svg-container, .pair svg')) {
  const all = words(figure);
  all.forEach(([one, a], i) => all.slice(i + 1).forEach(([other, b]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 3) found.push(`${one} on ${other}`);
  }));
}
return found"""


@pytest.fixture(scope="module")
def measured() -> str:
    """The page of a small experiment."""
    pytest.importorskip("torch")
    import validation
    from validation.page import report_page

    workload = validation.Workload(layers=2, width=32, sequence=16)
    return report_page(
        validation.experiment(
            workload, n_devices=2, n_microbatches=2, families=["1f1b", "zb-h1"], rounds=2
        )
    )


@needs_a_browser
@pytest.mark.parametrize(("width", "dark"), [(375, False), (1300, True)])
def test_the_page_of_measurements_works_from_a_file_too(
    opened: Opened, measured: str, width: int, dark: bool
) -> None:
    bars = "document.querySelectorAll('#figure .barlayer .point').length"
    driver = opened(measured, width=width, dark=dark, ready=bars)
    for name in ("1f1b", "zb-h1"):
        pick(driver, name)
        n_ops = sim.FAMILIES[name](2, 2).n_ops
        assert wait(driver, f"{bars} === {2 * n_ops}"), name
        assert driver.execute_script(OVERLAPS) == []
        assert name in driver.execute_script(
            "return document.getElementById('figure').getAttribute('aria-label')"
        )
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    grey = "rgb(166, 176, 187)" if dark else "rgb(88, 98, 112)"
    words = "getComputedStyle(document.querySelector('#figure .legendtext')).fill"
    assert driver.execute_script(f"return {words}") == grey
    assert driver.get_log("browser") == []


TRADE_OFF = "pareto -p 4 -m 8 --forward 10 --backward 12 --weight 8 --limits 2,3,4 --moves 6000000"
PLANNED = (
    "plan --model llama-3-8b --cluster 8xh100 --batch 32 --schedules zb-v --pipeline 4 --jobs 1"
)
STREAMED = "pipeload bert-large --memory-limit 400MB --memory-limit 200MB"
COMMANDS = {"pareto": TRADE_OFF, "plan": PLANNED, "pipeload": STREAMED, "measured pipeload": ""}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A function that gives the page of a command."""
    folder = tmp_path_factory.mktemp("pages")

    @functools.cache
    def page_of(name: str) -> str:
        path = folder / f"{name}.html"
        if words := COMMANDS[name].split():
            assert main([*words, "--json", "--html", str(path)]) == 0
        else:
            pytest.importorskip("torch", reason="torch is not installed")
            from backend.cli.commands import main as backend_main

            small = "--layers 4 --width 32 --heads 2 --vocabulary 50 --memory-limit 1MB --loaders 2"
            demo = str(folder / "demo")
            words = ["pipeload", demo, "--make-demo", *small.split(), "--repeats", "1"]
            assert backend_main([*words, "--json", "--html", str(path)]) == 0
        return path.read_text(encoding="utf-8")

    return page_of


@needs_a_browser
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("width", "dark"), [(375, True), (375, False), (1440, True)])
def test_the_pages_of_all_commands_fit_and_read_on_any_screen(
    opened: Opened, made: Callable[[str], str], name: str, width: int, dark: bool
) -> None:
    html = made(name)
    assert html.count("* plotly.js v") == 1
    assert not re.findall(
        r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:)", html
    )
    shown = "document.querySelector('#chart, #schedule, #row').dataset.shown"
    driver = opened(html, width=width, dark=dark, ready=shown)
    pictures = {driver.execute_script(f"return {shown}")}
    for i in range(
        driver.execute_script("return document.querySelectorAll('.picker button').length")
    ):
        driver.execute_script(
            "document.querySelectorAll('.picker button')[arguments[0]].click()", i
        )
        wait(
            driver,
            f"document.querySelectorAll('.picker [aria-pressed=true]')[0].dataset.index == {i}",
        )
        pictures.add(wait(driver, shown))
        assert driver.execute_script(OVERLAPS) == []
        assert driver.execute_script(FAINT) == []
    assert len(pictures) == {"pipeload": 2, "measured pipeload": 3}.get(name, 1)
    assert driver.execute_script(OVERLAPS) == []
    assert driver.execute_script(FAINT) == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    assert driver.get_log("browser") == []


FAINT = """
const channels = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
const luminance = rgb => rgb.map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = part => {
  const layers = [];
  for (let at = part; at; at = at.parentElement) layers.push(getComputedStyle(at).backgroundColor);
  return layers.reverse().map(channels).reduce((under, top) => over(top, under), [255, 255, 255]);
};
const found = [];
const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (words.nextNode()) {
  const text = words.currentNode.data.trim(), part = words.currentNode.parentElement;
  const style = getComputedStyle(part);
  if (!text || part.closest('script, style') || style.visibility === 'hidden'
      || !part.getClientRects().length) continue;
  let under = ground(part);
  if (part.matches('.bartext')) {
    const bar = getComputedStyle(part.closest('.point').querySelector('path'));
    const [r, g, b, a = 1] = channels(bar.fill);
    under = over([r, g, b, a * Number(bar.fillOpacity)], under);
  }
  const ink = over(channels(part.closest('svg') ? style.fill : style.color), under);
  const [light, dark] = [luminance(ink), luminance(under)].sort((x, y) => y - x);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) found.push(`${text}: ${contrast.toFixed(2)}`);
}
return found"""


@needs_a_browser
def test_one_schedule_has_the_same_page_without_the_comparison(opened: Opened) -> None:
    driver = opened(page(rows("zb-h1", activation_bytes=2**30)))
    assert driver.execute_script("return document.querySelector('#comparison') === null")
    assert driver.execute_script(f"return {CANVASES}[1].ariaLabel").startswith(
        "zb-h1: memory (GiB)"
    )
    assert "peak memory" in driver.execute_script("return document.body.innerText")
    assert driver.get_log("browser") == []


@needs_a_browser
def test_markup_in_a_name_is_shown_as_text(opened: Opened) -> None:
    name = "<img src=x onerror=alert(1)></script><b>"
    found, trace = rows("1f1b")[0]
    driver = opened(page([({**found, "schedule": name}, trace), *rows("zb-h1")]))
    choose(driver, name)
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    assert driver.get_log("browser") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "source"), [("directory", "plotly.min.js"), ("cdn", "https://cdn.plot.ly/plotly-")]
)
def test_a_page_may_have_plotly_from_elsewhere(tmp_path: Path, how: str, source: str) -> None:
    path = tmp_path / "page.html"
    words = [*STREAMED.split(), "--json", "--html", str(path), "--plotly", how]
    assert main(words) == 0
    html = path.read_text(encoding="utf-8")
    assert len(html) < 2_000_000
    assert f'<script src="{source}' in html
    assert (tmp_path / "plotly.min.js").exists() == (how == "directory")
