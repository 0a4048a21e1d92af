"""The page of comparisons, alive in a real browser."""

from __future__ import annotations

import functools
import json

import pytest
from browser import Opened, needs_a_browser, resize, wait
from report_page import FAINT, OVERLAPS, choose, rows

import sim
from sim.show.report import page

FAMILIES = ("1f1b", "zb-h2", "zb-v", "dualpipe-v")
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
