"""Bubble rates of the zero-bubble paper, from its profiled pass times, to four digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sim

PUBLISHED = json.loads(
    (Path(__file__).parents[3] / "validation" / "data" / "published_zero_bubble.json").read_text()
)
HANDCRAFTED = ("1f1b", "zb-h1", "zb-h2")
"""The columns that are rules, not results of the paper's search."""


def cases(table: str) -> list[Any]:
    return [
        pytest.param(row, family, id=f"{family}-p{row['p']}-m{row['m']}-F{row[name]}")
        for row in PUBLISHED[table]
        for name in ("F", "F_chunk")
        if name in row
        for family in HANDCRAFTED
    ]


def bubble_on_the_longest_stage(
    family: str, row: dict[str, Any], *, forward: int, backward: int, weight: int
) -> float:
    schedule = sim.FAMILIES[family](row["p"], row["m"])
    costs = sim.Costs.uniform(
        schedule, forward=forward, backward=backward, weight=weight, send=row["comm"]
    )
    longest = sim.longest_stage(sim.simulate(schedule, costs))
    return 1 - row["m"] * (forward + backward + weight) / longest


@pytest.mark.parametrize(("row", "family"), cases("table5"))
def test_table_5_comes_out_to_four_digits(row: dict[str, Any], family: str) -> None:
    found = bubble_on_the_longest_stage(
        family, row, forward=row["F"], backward=row["B"], weight=row["W"]
    )
    assert round(found, 4) == row["bubble"][family]


@pytest.mark.parametrize(("row", "family"), cases("table8"))
def test_table_8_comes_out_to_four_digits(row: dict[str, Any], family: str) -> None:
    found = bubble_on_the_longest_stage(
        family,
        row,
        forward=2 * row["F_chunk"],
        backward=2 * row["B_chunk"],
        weight=2 * row["W_chunk"],
    )
    assert round(found, 4) == row["bubble"][family]


def test_the_papers_bubble_is_the_bubble_of_equal_devices() -> None:
    row = PUBLISHED["table5"][0]
    schedule = sim.FAMILIES["zb-h1"](row["p"], row["m"])
    costs = sim.Costs.uniform(
        schedule, forward=row["F"], backward=row["B"], weight=row["W"], send=row["comm"]
    )
    trace = sim.simulate(schedule, costs)
    by_hand = bubble_on_the_longest_stage(
        "zb-h1", row, forward=row["F"], backward=row["B"], weight=row["W"]
    )
    assert sim.bubble(trace, "longest_stage") == pytest.approx(by_hand, abs=1e-12)
