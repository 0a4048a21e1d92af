"""The explorer as a page without a server: what it shows is what was played."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import Opened, needs_a_browser, wait

import sim
from sim.cli.commands import main
from sim.show.timeline import packed

FAMILIES = ("1f1b", "v-half")
pytestmark = pytest.mark.slow  # two dozen plays with their bounds


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("static") / "explorer.html"
    assert main(["explore", *FAMILIES, "--html", str(path), "--json"]) == 0
    return path.read_text(encoding="utf-8")


def choices_of(page: str) -> list[Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert data["choices"][data["first"]]["hash"] == "#family=v-half&p=8&m=16&times=usual"
    choices: list[Any] = data["choices"]
    return choices


def test_every_combination_is_there_as_it_plays(page: str) -> None:
    choices = choices_of(page)
    assert len({choice["hash"] for choice in choices}) == len(FAMILIES) * 2 * 2 * 3
    one = next(c for c in choices if c["hash"] == "#family=1f1b&p=4&m=8&times=equal")
    opened = json.loads(gzip.decompress(base64.b64decode(one["packed"])))
    schedule = sim.FAMILIES["1f1b"](4, 8)
    costs = sim.Costs.uniform(schedule, forward=10, backward=10, weight=10, send=0)
    trace = sim.simulate(schedule, costs)
    assert opened["line"]["bars"] == json.loads(json.dumps(packed(trace)["bars"]))
    assert f"<td>{sim.makespan(trace)}</td>" in opened["html"]["facts"]
    assert "a device works" in opened["html"]["about"]


def test_a_page_of_the_usual_families_takes_less_than_two_megabytes(page: str) -> None:
    from sim.explorer.static import KNOWN

    each = sum(len(choice["packed"]) for choice in choices_of(page)) / len(FAMILIES)
    assert len(page) + each * (len(KNOWN) - len(FAMILIES)) < 2_000_000
    assert set(FAMILIES) <= set(KNOWN) <= set(sim.FAMILIES)


def test_it_needs_no_widgets_and_refuses_what_is_no_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; sys.modules['ipywidgets'] = None; import sim.explorer.static"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert main(["explore", "zbv", "--html", str(tmp_path / "a.html")]) == 2
    assert "unknown family 'zbv': did you mean zb-v" in capsys.readouterr().err
    assert main(["explore", "--html", str(tmp_path / "no" / "a.html")]) == 1
    assert "there is no folder" in capsys.readouterr().err


@needs_a_browser
@pytest.mark.parametrize(("width", "dark"), [(390, True), (768, False), (1440, True)])
def test_lists_choose_what_is_shown_and_make_its_address(
    opened: Opened, page: str, width: int, dark: bool
) -> None:
    shown = "document.querySelector('section').dataset.shown"
    driver = opened(
        page, width=width, dark=dark, ready=shown, part="#family=1f1b&p=4&m=8&times=gpt"
    )
    assert driver.execute_script(f"return {shown}").startswith("1f1b: 4 devices, 8 microbatches")
    values = "[...document.querySelectorAll('select')].map(list => list.value)"
    assert driver.execute_script(f"return {values}") == ["1f1b", "4", "8", "gpt"]
    driver.execute_script(
        "const list = document.querySelector('select[name=p]'); list.value = '8';"
        "list.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    wait(driver, f"{shown}.startsWith('1f1b: 8 devices, 8 microbatches')")
    assert driver.execute_script("return location.hash") == "#family=1f1b&p=8&m=8&times=gpt"
    driver.execute_script("history.back()")
    wait(driver, f"{shown}.startsWith('1f1b: 4 devices')")
    assert driver.execute_script(f"return {values}") == ["1f1b", "4", "8", "gpt"]
    assert "Here:" in driver.execute_script("return document.getElementById('about').innerText")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.get_log("browser") == []
