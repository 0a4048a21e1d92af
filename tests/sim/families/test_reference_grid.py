"""Against the makespans and peaks that the papers' released generators reach.

Row by row of `validation/data/reference_grid.json`; its "meta" says how they were obtained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from longest_path import peak, times

from sim import FAMILIES, Costs
from sim.schedule.ir import Schedule

GRID = json.loads(
    (Path(__file__).parents[3] / "validation" / "data" / "reference_grid.json").read_text()
)
ALIASES = {
    "interleaved(v=2)": "interleaved",
    "gis(v=2)": "gis",
    "gis-h(v=2)": "gis-h",
    "zb-v(handcrafted)": "zb-v",
}
EQUAL = [
    "gpipe",
    "1f1b",
    "interleaved",
    "zb-h1",
    "zb-h2",
    "zb-v",
    "1f1b-v",
    "v-min",
    "gis",
    "gis-h",
]
"""The same rule, hence the same times at any costs."""


def rows(*names: str) -> Iterator[dict[str, Any]]:
    for row in GRID["rows"]:
        if ALIASES.get(row["schedule"], row["schedule"]) in names:
            yield row


@cache
def built(name: str, p: int, m: int) -> Schedule:
    return FAMILIES[name](p, m)


def reached(name: str, row: dict[str, Any]) -> tuple[Fraction, ...]:
    schedule = built(name, row["p"], row["m"])
    named = {key: row[key] for key in ("forward", "backward", "weight", "send")}
    played = times(schedule, Costs.uniform(schedule, **named))
    return played.makespan, played.longest_stage, max(peak(schedule))


def published(row: dict[str, Any]) -> tuple[Fraction, ...]:
    return tuple(Fraction(str(row[key])) for key in ("makespan", "longest_stage", "peak"))


@pytest.mark.parametrize("name", EQUAL)
def test_the_same_rule_takes_the_same_time_at_any_costs(name: str) -> None:
    alias = {ours: theirs for theirs, ours in ALIASES.items()}.get(name, name)
    found = list(rows(name))
    assert len(found) >= 21, alias
    for row in found:
        assert reached(name, row) == published(row), row


def test_v_half_is_equal_at_unit_passes_and_nowhere_longer_or_hungrier() -> None:
    for row in rows("v-half"):
        ours, theirs = reached("v-half", row), published(row)
        assert all(a <= b for a, b in zip(ours, theirs, strict=True)), row
        unit = (row["forward"], row["backward"], row["weight"], row["send"]) == (1, 1, 1, 0)
        if unit and row["m"] >= 2 * row["p"]:
            assert ours == theirs, row


def test_v_zb_is_not_longer_than_what_a_search_finds_at_the_same_memory() -> None:
    for row in rows("zb-v(greedy)"):
        if (row["forward"], row["send"]) == (1, 0) and row["m"] >= 2 * row["p"]:
            assert reached("v-zb", row) == published(row), row
