"""From a click to a drawn time line, in chromium: python tests/bench/bench_pages.py

On 16 devices with 64 microbatches. On the page of `compare`: median time from a click on a row to
the frame that shows its time line (first: it has to be unzipped; again: it was open before). In the
explorer: processor time of Python for a turned knob at that size, until the time line is sent; time
of the browser for what it is sent (parse, draw, next frame; what a kernel's connection adds is not
in it); their sum, which is what a reader waits; and Python's time until all numbers are there, too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from browser import CHROME, DRIVER, resize, started, wait

import sim
from sim.metrics.summary import summary
from sim.show.report import page
from sim.show.templates import asset
from sim.show.timeline import SCRIPTS

FAMILIES = ("1f1b", "zb-v", "v-half", "interleaved")
REPEATS = 7
CLICKED = """
const [name, done] = arguments, part = document.getElementById("schedule");
const button = [...document.querySelectorAll(".picker a")].find(b => b.textContent === name);
const begin = performance.now();
const look = () => part.dataset.shown === name
  ? requestAnimationFrame(() => done(performance.now() - begin)) : requestAnimationFrame(look);
button.click();
look();
"""
SENT = """
const [text, done] = arguments, begin = performance.now();
timeline.show(JSON.parse(text));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
"""


def main() -> None:
    if not (CHROME and DRIVER):
        print("no chromium with its chromedriver on this machine (apt-get install chromium-driver)")
        return
    browser = started()
    try:
        resize(browser, 1440)
        print(f"{'page':14}{'first':>8}{'again':>8}   (ms, median of {REPEATS})")
        for name, first, again in clicks(browser):
            print(f"{name:14}{first:8.0f}{again:8.0f}")
        print(f"{'explorer':14}{'Python':>8}{'browser':>8}{'sum':>8}{'all':>8}")
        for name, sent, drawn, whole in turns(browser):
            print(f"{name:14}{sent:8.0f}{drawn:8.0f}{sent + drawn:8.0f}{whole:8.0f}")
    finally:
        browser.quit()


def clicks(browser: Any) -> list[tuple[str, float, float]]:
    """Of every family: the first click on it after a load, and a later one."""
    traces = []
    for name in FAMILIES:
        schedule = sim.FAMILIES[name](16, 64)
        costs = sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
        traces.append(sim.simulate(schedule, costs))
    firsts: dict[str, list[float]] = {name: [] for name in FAMILIES}
    agains: dict[str, list[float]] = {name: [] for name in FAMILIES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page([(summary(trace), trace) for trace in traces]), encoding="utf-8")
        for _ in range(REPEATS):
            browser.get("about:blank")
            browser.get(path.as_uri())
            shown = wait(browser, "document.getElementById('schedule').dataset.shown")
            others = [name for name in FAMILIES if name != shown]  # that one is open already
            for name in others:
                firsts[name].append(browser.execute_async_script(CLICKED, name))
            for name in FAMILIES:
                agains[name].append(browser.execute_async_script(CLICKED, name))
    return [
        (name, median(firsts[name]) if firsts[name] else float("nan"), median(agains[name]))
        for name in FAMILIES
    ]


def turns(browser: Any) -> list[tuple[str, float, float, float]]:
    """Of every family: Python's time until the time line is sent, the browser's, and Python's until
    everything is said."""
    script = "".join(asset(name) for name in SCRIPTS)
    found = []
    for name in FAMILIES:
        explorer = sim.explore(name, 16, 64)
        browser.get("about:blank")
        browser.execute_script(
            "document.body.innerHTML = '<div id=here></div>';"
            f"{script}; window.timeline = Timeline(document.getElementById('here'));"
        )
        marks: list[float] = []
        sent, drawn, whole = [], [], []
        explorer.pictures.observe(lambda _, to=marks: to.append(time.process_time()), "lines")
        for turn in range(REPEATS):
            begin = time.process_time()
            explorer.controls["forward"].value = 11 + turn
            whole.append(1000 * (time.process_time() - begin))
            sent.append(1000 * (marks[-1] - begin))
            drawn.append(browser.execute_async_script(SENT, explorer.pictures.lines.decode()))
        found.append((name, median(sent), median(drawn), median(whole)))
    return found


if __name__ == "__main__":
    main()
