"""The search against published ones, and what each of its methods earns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")
pytest.importorskip("ortools")
from sim.search.settings.methods import METHODS
from validation.ablation import (
    FULL,
    Case,
    case,
    earned,
    from_record,
    markdown,
    noise,
    to_record,
    variants,
)
from validation.cli.ablation import left_out
from validation.cli.commands import main
from validation.published_searches import (
    DATA,
    SOURCES,
    Budget,
    Instance,
    Reached,
    chosen,
    instances,
    reached,
)

SMALL = Budget(moves=500_000, workers=1)
STRAIGHT = list(instances("straight"))


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["searches", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def without_times(found: Reached) -> Reached:
    return found._replace(seconds=0.0, processor=0.0)


def test_every_nth_row_is_of_each_source() -> None:
    for source in SOURCES:
        every = list(instances(source))
        assert chosen([source], every=3, first=1) == every[1::3]
    assert len(chosen(SOURCES, every=1000)) == len(SOURCES)
    assert {one.times[0] for one in chosen(["adaptive"], forward=10)} == {10}
    assert {(one.p, one.m) for one in chosen(SOURCES, p=16, m=48)} == {(16, 48)}


def test_a_budget_of_counted_work_gives_equal_results() -> None:
    first, again = (without_times(reached(STRAIGHT[-1], SMALL)) for _ in range(2))
    assert first == again
    assert first.moves > 0


def test_a_row_says_what_was_reached_and_what_is_published(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = printed(capsys, "straight", "-m", "8", "--moves", "500000", "--workers", "1")
    assert found["searched"] == len(found["rows"]) == 2
    assert found["mean_ratio"] is None  # F, B and W are equal in these rows
    assert [row["memory_limit"] for row in found["rows"]] == [3, 2]
    for row, instance in zip(found["rows"], STRAIGHT, strict=False):
        ours = without_times(reached(instance, SMALL))
        assert (row["value"], row["lower_bound"]) == (ours.value, ours.bound)
        assert row["bubble"] == 1 - 8 * 3 / ours.value
        assert row["bubble_reference"] == 1 - 8 * 3 / instance.reference
        assert row["worse"] == (ours.value > instance.reference)
    assert found["worse"] == sum(row["worse"] for row in found["rows"])


def test_the_table_has_a_row_per_instance(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["searches", "straight", "--every", "3", "--moves", "0", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines if "straight" in line] == [
        ["straight", "4", "8"],
        ["straight", "4", "12"],
    ]
    assert lines[-1].startswith("worse: ")
    assert " of 2; proven optimal: " in lines[-1]


def test_the_first_rows_within_the_time_are_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "straight", "--total", "0", "--moves", "0")["searched"] <= 1


def made_up() -> list[Case]:
    """Two instances with a bound of 100: the variants reach what is written here."""

    def run(value: float, *, proven: bool = False) -> Reached:
        return Reached(value, 100.0, proven, "made up", 2.0, 1.0, 10)

    instance = Instance("straight", 4, 8, (1, 1, 1, 0), "straight", 3, "makespan", 104)
    return [
        Case(instance, {FULL: run(100, proven=True), "seed 1": run(101), "ends": run(105)}),
        Case(instance, {FULL: run(104), "seed 1": run(104), "ends": run(103)}),
    ]


def test_what_a_method_earns_is_counted_against_the_full_search() -> None:
    full, seed, ends = earned(made_up())
    assert (full.variant, full.instances, full.lost, full.gained) == (FULL, 2, 0, 0)
    assert (full.proven, full.proofs_lost, full.worse, full.gap_change) == (1, 0, 0, 0)
    assert full.mean_gap == pytest.approx(0.02)
    assert (ends.lost, ends.gained, ends.worse, ends.proofs_lost) == (1, 1, 1, 1)
    assert ends.mean_gap == pytest.approx(0.04)
    assert ends.gap_change == pytest.approx(0.02)
    assert (ends.seconds, ends.moves) == (2.0, 20)
    assert noise([full, seed, ends]) == [seed]
    assert not ends.is_within([seed])
    assert ends._replace(gap_change=seed.gap_change).is_within([seed])
    assert not ends._replace(gap_change=seed.gap_change, lost=2).is_within([seed])


def test_the_table_of_methods_has_a_row_per_variant() -> None:
    lines = markdown(earned(made_up())).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| (all methods)", "| (seed 1)", "| `ends`",
    ]  # fmt: skip
    assert {line.count("|") for line in lines} == {11}


def test_a_record_gives_the_cases_back() -> None:
    for found in (made_up(), [case(next(instances("curve")), variants([]), SMALL)]):
        assert from_record(json.loads(json.dumps(to_record(found)))) == found


def test_without_all_methods_only_the_plainest_order_is_left() -> None:
    """Each row gets worse: switching off reaches the search."""
    ways = variants([tuple(METHODS)])
    cases = [case(instance, ways, SMALL) for instance in STRAIGHT[:3]]
    full, nothing = earned(cases)
    assert (nothing.lost, nothing.gained) == (3, 0)
    assert nothing.gap_change > 1
    assert {one.runs[nothing.variant].method for one in cases} == {"one by one"}
    assert full.moves > nothing.moves


def test_the_ablation_searches_without_each_set_and_keeps_every_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "ablation.json"
    words = ["straight", "-m", "12", "--moves", "200000", "--workers", "1", "--save", str(path)]
    found = printed(capsys, *words, "--without", "ends", "--without", "rules, families")
    assert json.loads(path.read_text()) == found
    assert found["budget"] == {"moves": 200000, "workers": 1, "seed": 0}
    assert found["chosen"] == {"sources": ["straight"], "every": 1, "first": 0}
    assert set(found["provenance"]) >= {"hardware", "python", "numba", "ortools", "date", "command"}
    names = [row["variant"] for row in found["summary"]]
    assert names == [FULL, "seed 1", "ends", "rules,families"]
    assert [list(one["runs"]) for one in found["cases"]] == [names] * 2
    assert [row._asdict() for row in earned(from_record(found))] == found["summary"]


def test_each_method_can_be_left_out_by_itself_and_some_together() -> None:
    assert left_out([], each=True) == [(name,) for name in METHODS]
    assert left_out(["tips", "ends, tips", "tips"], each=False) == [("tips",), ("ends", "tips")]
    assert left_out(["ends"], each=True) == left_out([], each=True)


def test_the_page_shows_what_the_committed_runs_say_of_each_method() -> None:
    record = json.loads((DATA / "ablation.json").read_text())
    rows = earned(from_record(record))
    page = (DATA.parents[1] / "docs" / "ablation.md").read_text()
    assert markdown(rows) in page
    assert f"{rows[0].instances} in all" in page
    without = {row.variant for row in rows} - {FULL} - {row.variant for row in noise(rows)}
    assert without - {"twin"} == METHODS.keys() - {"slot-grid"}  # what went, and what came since
    reached_by = {row.variant: row for row in rows}
    assert reached_by["rules"].lost > 2 * max(row.lost for row in noise(rows))
    assert (reached_by["twin"].lost, reached_by["twin"].gained) == (0, 1)
