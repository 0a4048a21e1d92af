"""The page of a plan: the ranking, speed against memory, and every row it shows in detail."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

import pandas as pd
import pytest

from sim.planner import Problem, Space, plan
from sim.planner.cost_model import Efficiency
from sim.planner.explanation import WORDS, taken_apart
from sim.planner.hardware import machine_of
from sim.planner.models import Model
from sim.planner.page import plan_page
from sim.planner.plan_text import ranking

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
EFFICIENCY = Efficiency(source="as in this test")
PROBLEM = Problem(SMALL, machine_of("8xh100"), EFFICIENCY)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return plan(
        SMALL, PROBLEM.machine, sequence=1024, batch=64, jobs=1, top=5, efficiency=EFFICIENCY,
        space=Space(schedules=("1f1b", "interleaved", "v-half"), tensor=(1,), recompute=("none",)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(table: pd.DataFrame) -> str:
    details = taken_apart(PROBLEM, table, rows=3, row=2)
    return plan_page(PROBLEM, table, details, row=2, command="sim plan <this>")


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_page_ranks_the_rows_and_opens_with_the_one_that_was_asked_for(
    page: str, table: pd.DataFrame
) -> None:
    data = data_of(page)
    hashes = [row["hash"] for row in data["choices"]]
    assert hashes[:3] == ["#row-1", "#row-2", "#row-3"]
    assert data["first"] == 1
    assert page.count("<tr data-hash=") == len(hashes)
    done = table[table["status"] == "simulated"]
    piped = done[done["pipeline"] > 1]
    assert {row["name"].split(": ")[1] for row in data["choices"]} == {
        *piped["schedule"], "no pipeline",
    }  # fmt: skip
    assert sum(len(trace["x"]) for trace in data["speed"]["data"]) == len(done)
    assert "Zero bubble or not: " in page
    assert "as in this test" in page
    assert "sim plan &lt;this&gt;" in page


def test_a_page_holds_the_time_line_of_every_row_it_ranks(page: str) -> None:
    for row in data_of(page)["choices"]:
        packed = json.loads(gzip.decompress(base64.b64decode(row["packed"])))
        assert [name for name, *_ in packed["figures"]] == ["parts", "bytes"]
        head, *devices_told = re.findall("<tr>.*?</tr>", row["html"]["devices"])
        devices = len(devices_told)
        assert packed["line"]["rows"] == [f"device {d}" for d in range(devices)]
        drawn = packed["line"]["bars"]["row"]  # one number where all bars have it
        assert {*(drawn if isinstance(drawn, list) else [drawn])} == {*range(devices)}
        assert head.endswith("headroom (GiB)</th></tr>")
        kinds = [float(cell) for cell in re.findall("<td>(.*?)</td>", devices_told[0])[2:]]
        assert sum(kinds) == pytest.approx(79, abs=0.05)  # of rounded cells
        assert re.search(r"<p>\S.*\.</p>", row["html"]["head"])


def test_a_page_defines_its_words_and_says_what_was_left_out(page: str) -> None:
    for word in WORDS:
        assert f"<dt>{word}</dt>" in page
    assert " bounded out, e.g. " in page


def test_shares_are_told_in_percent(page: str, table: pd.DataFrame) -> None:
    first = table[table["status"] == "simulated"].iloc[0]
    for text in (page, ranking(table[table["status"] == "simulated"])):
        assert f"{first['mfu']:.1%}" in text
        assert f"{first['bubble']:.1%}" in text
