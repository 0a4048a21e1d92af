"""Pages of measurements, trade-offs, plans and streaming in a real browser."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Opened, needs_a_browser, wait
from report_page import FAINT, OVERLAPS, pick

import sim
from sim.cli.commands import main


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
