"""The page of a search: the schedule that was found, its proof, its levers, how steady it is."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sim.cli.commands import main
from sim.search.cli.page import steadiness_cells


def searched(
    capsys: pytest.CaptureFixture[str], path: Path, *options: str
) -> tuple[dict[str, Any], str]:
    """What the command prints as JSON, and the page that it writes."""
    assert main(["search", *options, "--moves", "20000", "--html", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out), path.read_text(encoding="utf-8")


def test_the_page_shows_what_was_found_in_the_order_in_which_microbatches_are_fed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["-p", "2", "-m", "3", "--placement", "straight", "--microbatch-scale", "1,3,2"]
    order = ["--microbatch-order", "longest-first"]
    found, page = searched(capsys, tmp_path / "page.html", *options, *order)
    assert found["microbatch_order"] == [1, 2, 0]
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data
    [shown] = json.loads(data[1])["choices"]
    line = json.loads(gzip.decompress(base64.b64decode(shown["packed"])))["line"]
    assert line["whole"] == [0, found["makespan"]]
    cards = dict(re.findall(r"<span>([^<]*)</span><b>([^<]*)</b>", shown["html"]["cards"]))
    assert cards["makespan"] == f"{found['makespan']:g}"
    assert cards["lower bound, makespan"] == f"{found['lower_bound']:g}"
    assert f"Found by {found['method']}" in page
    assert "<dt>forward</dt><dd>1</dd>" in page
    assert "What is done to save memory" not in page
    assert "When times vary" not in page


def test_what_varying_times_cost_stands_in_the_order_of_what_they_cost() -> None:
    quantiles = {"found": 102, "best": 108, "zb-v": 130, "v-half": 112}
    rows = {
        name: {"name": name, "nominal": 100, "quantile": quantile}
        for name, quantile in quantiles.items()
    }
    heads, *lines = steadiness_cells(
        {"quantile": 0.9, "draws": 50, "found": rows["found"], "nominal_best": rows["best"],
         "families": [rows["zb-v"], rows["v-half"]]}
    )  # fmt: skip
    assert [cell.text for cell in heads][2] == "90% of 50 draws within"
    assert [(line[0].text, line[3].text) for line in lines] == [
        ("found", "2.0%"), ("best", "8.0%"), ("v-half", "12.0%"), ("zb-v", "30.0%"),
    ]  # fmt: skip


def test_the_page_tells_which_activations_are_recomputed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["-p", "2", "-m", "4", "--levers", "recompute", "--memory-limit", "0.75"]
    found, page = searched(capsys, tmp_path / "page.html", *options)
    table = page.split("<h2>What is done to save memory</h2>")[1].split("</table>")[0]
    cells = [int(cell) for cell in re.findall(r"<td[^>]*>(\d+)</td>", table)]
    assert cells == [row[name] for row in found["levers"] for name in row]
    assert sum(row["recompute"] for row in found["levers"]) > 0
    assert "<div><dt>memory limit</dt><dd>0.75</dd></div>" in page
