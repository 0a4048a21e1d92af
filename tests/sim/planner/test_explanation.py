"""A plan says what it assumed, which schedule wins, and what would help; in 80 columns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from sim.planner import Orders, Problem, Space, configuration_of, model_of, plan
from sim.planner.cost_model import Configuration, Efficiency
from sim.planner.explanation import (
    WORDS,
    assumptions,
    best_of_each,
    explained,
    taken_apart,
    zero_bubble_or_not,
)
from sim.planner.hardware import machine_of
from sim.planner.models import Model
from sim.planner.plan_text import COLUMNS, columns, plan_text

SMALL = Model("small", 14, 512, 8, 32000, kv_heads=4)
EFFICIENCY = Efficiency(source="as in this test")
PROBLEM = Problem(SMALL, machine_of("8xh100"), EFFICIENCY)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return plan(
        SMALL, PROBLEM.machine, sequence=1024, batch=64, jobs=1, top=20, efficiency=EFFICIENCY,
        space=Space(schedules=("1f1b", "interleaved", "zb-h1", "v-half"), tensor=(1, 2)),
    )  # fmt: skip


def fitting(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_the_text_answers_first_and_fits_a_terminal(table: pd.DataFrame) -> None:
    details = taken_apart(PROBLEM, table, rows=10, row=1)
    text = plan_text(PROBLEM, table, details, rows=10, row=1)
    lines = text.splitlines()
    assert fitting(text)
    assert lines[0] == "small on 8xh100"
    assert lines[1].startswith("Zero bubble or not: ")
    last = text[text.rindex("\n\n") + 2 :]
    assert text.startswith(f"{lines[0]}\n{last}\n")  # the answer again, where it stays in sight
    for name in ("machine:", "wires:", "question:", "precision:", "memory:", "efficiencies:"):
        assert any(line.startswith(name) for line in lines), name
    assert "The fastest row of every schedule" in lines[:24]
    shown = text[text.index("The fastest row of every schedule") : text.index("The fastest rows")]
    for schedule in ("1f1b", "interleaved", "zb-h1", "v-half"):
        assert f" {schedule} " in shown
    assert "Where the seconds go, in percent of the iteration" in text
    assert "Row 1: " in text
    assert "Memory of row 1 in GiB" in text
    assert "too large, e.g." not in text


def test_every_head_of_the_tables_is_defined(table: pd.DataFrame) -> None:
    defined = {word for words in WORDS for word in words.split(", ")}
    plain = {"#", "schedule", "samples/s", "s"}
    assert set(COLUMNS.values()) - plain <= defined
    text = plan_text(PROBLEM, table, taken_apart(PROBLEM, table, rows=3, row=1), rows=3, row=1)
    words = " ".join(text.split())
    assert "t4s" in words
    assert "z1 optimizer state" in words


def test_plans_of_many_devices_fit_a_terminal_too() -> None:
    machine = machine_of("16384xh100", between="roce", per_rack=4096, across="roce")
    problem = Problem(Model("large", 126, 16384, 128, 128256, kv_heads=8, ffn=53248), machine)
    found = plan(
        problem.model, machine, sequence=8192, batch=2048, jobs=1, top=3,
        space=Space(schedules=("1f1b", "interleaved"), pipeline=(16,), tensor=(8,), virtual=(8,),
                    microbatch=(1,), recompute=("none", "full")),
    )  # fmt: skip
    text = plan_text(problem, found, taken_apart(problem, found, rows=5, row=1), rows=5, row=1)
    assert fitting(text)
    assert "devices between these are in --json and --html)" in text
    assert "across racks" in text


def test_several_precisions_are_told_in_rows_and_in_the_header() -> None:
    found = plan(
        "llama-3-8b", PROBLEM.machine, sequence=32768, batch=64, jobs=1, top=5,
        space=Space(schedules=("1f1b", "zb-h1"), pipeline=(2,), precision=("bf16", "fp8"),
                    context=(1, 2)),
    )  # fmt: skip
    problem = Problem(model_of("llama-3-8b"), PROBLEM.machine)
    text = plan_text(problem, found, taken_apart(problem, found, rows=8, row=1), rows=8, row=1)
    assert fitting(text)
    assert "passes in bf16 or fp8; " in text
    assert "bits fp8" in text  # all of the fastest


def test_the_fastest_row_of_every_schedule_is_there_once(table: pd.DataFrame) -> None:
    best = best_of_each(table)
    piped = best[best["pipeline"] > 1]
    assert sorted(piped["schedule"]) == ["1f1b", "interleaved", "v-half", "zb-h1"]
    assert len(best) == len(piped) + 1
    done = table[(table["status"] == "simulated") & (table["pipeline"] > 1)]
    for _, row in piped.iterrows():
        mine = done[done["schedule"] == row["schedule"]]
        assert row["seconds"] == mine["seconds"].min()


def rows(**seconds: float) -> pd.DataFrame:
    found = sorted(seconds.items(), key=lambda pair: pair[1])
    return pd.DataFrame(
        {
            "schedule": name.replace("_", "-"),
            "seconds": s,
            "status": "simulated",
            "rank": i,
            "pipeline": 1 if name == "gpipe" else 4,
        }
        for i, (name, s) in enumerate(found, 1)
    )


def test_zero_bubble_or_not_is_one_sentence() -> None:
    assert zero_bubble_or_not(rows(zb_h1=10.0, interleaved=11.0, v_half=10.5)) == (
        "Zero bubble or not: zb-h1, with B and W apart (zero bubble), takes 10 s; the best with a "
        "fused backward is interleaved, 10.0 % longer."
    )
    close = zero_bubble_or_not(rows(zb_h1=10.1, interleaved=10.0))
    assert close.startswith("Zero bubble or not: interleaved, with a fused backward, takes 10 s;")
    assert close.endswith("is zb-h1, 1.0 % longer; that is closer than plans are sure of.")
    alone = zero_bubble_or_not(rows(zb_h1=10.0, interleaved=11.0, gpipe=9.0))
    assert alone.startswith("Zero bubble or not: zb-h1")
    assert alone.endswith("10.0 % longer. No pipeline is faster: 9 s.")
    assert zero_bubble_or_not(rows(zb_h1=10.0, gpipe=9.0)) == "No pipeline is faster: 9 s."
    assert not zero_bubble_or_not(rows(interleaved=11.0, gpipe=12.0))
    assert not zero_bubble_or_not(rows(zb_h1=11.0, v_half=12.0))


def advice_of(problem: Problem, **space: Any) -> str:
    found = plan(
        problem.model, problem.machine, sequence=1024, batch=64, jobs=1, cut=problem.cut,
        efficiency=problem.efficiency, space=Space(recompute=("none",), **space),
    )  # fmt: skip
    return explained(problem, found.iloc[0], Orders()).advice


def test_stages_of_unequal_work_are_named() -> None:
    problem = replace(PROBLEM, cut="Et*4|t*10L")
    found = advice_of(problem, schedules=("1f1b",), pipeline=(2,), tensor=(1,), microbatch=(1,))
    assert " points of bubble are stage imbalance: device 1, with 10 layers and the head" in found
    largest, whole = (float(word) for word in found.split(" points")[0].split(" of "))
    assert 20 < largest < whole < 50


def test_few_microbatches_are_named() -> None:
    problem = replace(PROBLEM, model=replace(SMALL, layers=16, vocabulary=1000))
    found = advice_of(problem, schedules=("1f1b",), pipeline=(8,), tensor=(1,), microbatch=(8,))
    assert "points of bubble are filling and draining: 8 microbatches on 8 devices" in found
    assert "or B and W apart, shorten it" in found


def test_collectives_on_slow_wires_are_named() -> None:
    problem = replace(PROBLEM, machine=machine_of("8xh100", inside="pcie4"))
    found = advice_of(problem, schedules=("1f1b",), pipeline=(1,), tensor=(8,), microbatch=(1,))
    assert "that are not work are waiting for collectives inside layers: a tensor" in found


def test_the_header_tells_what_was_assumed(table: pd.DataFrame) -> None:
    c = configuration_of(table.iloc[0])
    found = assumptions(PROBLEM, c)
    assert found["machine"] == "1 node of 8 h100, 989 TFLOP/s each"
    assert found["wires"] == "nvlink4 inside a node (450 GB/s a device, 5 us)"
    assert found["question"] == "sequence 1024, batch 64 (0.0655 million tokens), flash attention"
    assert found["memory"] == "79.0 GiB a device, 3.7 of it in reserve (--reserve)"
    assert found["efficiencies"] == "as in this test"
    other = assumptions(replace(PROBLEM, clock="longest_stage", cut="Et|tL", reserve=0), c)
    assert other["stages"] == "Et|tL"
    assert other["clock"].startswith("the longest stage")
    assert "0.0 of it in reserve" in other["memory"]


def test_tables_are_as_wide_as_their_words() -> None:
    assert columns(["#", "name"], [["1", "a"], ["10", "bcdefg"]], left=["name"]) == (
        " # name\n 1 a\n10 bcdefg"
    )


def test_the_json_object_has_parts_memory_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    from sim.cli.commands import main

    code = main([
        "plan", "--model", "llama-3-8b", "--cluster", "8xh100", "--batch", "32", "--pipeline", "4",
        "--schedules", "1f1b,zb-v", "--jobs", "1", "--json", "--rows", "2",
    ])  # fmt: skip
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["zero_bubble_or_not"].startswith("Zero bubble or not: ")
    assert {row["schedule"] for row in found["best"]} == {"1f1b", "zb-v"}
    assert {"machine", "wires", "efficiencies"} <= set(found["assumptions"])
    assert set(found["words"]) == set(WORDS)
    for row in (*found["rows"], *found["best"]):
        assert sum(row["parts"].values()) == pytest.approx(row["seconds"], rel=1e-12)
        kinds = ("weights", "gradients", "optimizer", "activations", "buffers")
        needed = [sum(device[kind] for kind in kinds) for device in row["memory"]["devices"]]
        assert max(needed) / 2**30 == pytest.approx(row["memory_gib"], rel=1e-9)
        assert len(row["memory"]["stages"]) == row["pipeline"] * row["virtual"]
        assert row["advice"]


def test_the_header_says_in_how_many_bits_passes_multiply_and_what_is_frozen() -> None:
    c = Configuration(1024, 16, pipeline=2, precision="fp8", frozen=3)
    told = assumptions(PROBLEM, c)["precision"]
    assert told.startswith("fp8 products of weights in layers, 16 bits elsewhere; the first 3 ")
    assert "; 20 bytes a trained parameter: 4 weights, 4 gradients" in told  # cast twice
    plain = assumptions(PROBLEM, replace(c, precision="bf16", frozen=0))["precision"]
    assert plain.startswith("16-bit passes; 18 bytes")
    assert plain.endswith("12 optimizer")
    muon = assumptions(PROBLEM, replace(c, precision="bf16", frozen=0, optimizer="muon"))
    assert muon["precision"].endswith("12 optimizer (8 of those that muon steps)")
