"""The fit to measured iterations, on made-up iterations: no measured row is needed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sim.planner.cost_model import Configuration, Efficiency, efficiency_of
from sim.planner.models import Model
from validation.vtrain import (
    COLUMNS,
    FITTED,
    MEGATRON,
    Run,
    error_table,
    fitted,
    predicted_seconds,
    read_runs,
)

TRUE = Efficiency(
    matmul=0.6,
    memory=0.6,
    misaligned=0.5,
    ramp=1e-5,
    launch=4e-5,
    wire=0.6,
    collective=2e-5,
    overlap=0,
)


def _runs() -> list[Run]:
    found = []
    for hidden, microbatch in ((1024, 1), (4096, 16)):
        for tensor, data, pipeline in ((1, 1, 1), (1, 8, 1), (4, 2, 1), (2, 2, 2), (1, 1, 4)):
            run = Run(
                Model("gpt", 8, hidden, 16, 50257, gated=False, tied=True, dropout=True),
                Configuration(1024, 2 * microbatch * data, microbatch=microbatch,
                              tensor=tensor, data=data, pipeline=pipeline,
                              attention="plain", zero=0, tensor_overlap="none",
                              data_overlap=False),
                tensor * data * pipeline, 1.0, "single-node",
            )  # fmt: skip
            found.append(run._replace(seconds=predicted_seconds(run, TRUE)))
    return found


@pytest.mark.slow
def test_efficiencies_fitted_without_a_pipeline_predict_pipelines() -> None:
    runs = _runs()
    start = replace(TRUE, overlap=0, matmul=0.5, memory=0.75, launch=6e-5, ramp=2e-5)
    table = error_table(runs, fitted(runs, start))
    assert [(row.group, row.pipeline) for row in table] == [("single-node", p) for p in (1, 2, 4)]
    assert all(row.mean_absolute < 0.02 for row in table)
    assert max(row.mean_absolute for row in error_table(runs, start)) > 0.05


def test_a_csv_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("gpus,hidden\n1,2\n")
    with pytest.raises(ValueError, match="has no column 'global_batch': expected gpus"):
        read_runs(path)


def test_rows_of_a_csv_are_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    row = dict(zip(COLUMNS, [8, 16, 2, 1024, 16, 24, 1024, 2, 2, 2, "250.5", "multi-node"],
                   strict=True))  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(row)
    (run,) = read_runs(path)
    assert (run.seconds, run.gpus, run.pipeline) == (0.2505, 8, 2)
    assert run.configuration.n_microbatches == 4
    assert run.configuration.recompute == "full"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("total: 1 run", "line 3: gpus is 'total: 1 run': it must be a whole number >= 1"),
        ("8,16,2,0,16,24,1024,2,2,2,250,multi-node", "hidden is '0': it must be a whole number"),
        ("8,16,2,1024,16,24,1024,2,2,2,nan,multi-node", "iteration_ms is 'nan': it must be a num"),
        ("8,16,2,1024,16,24,1024,2,2,2,250", "set is '': it must be single-node or multi-node"),
    ],
)
def test_a_line_that_is_no_run_is_refused_by_its_number(
    tmp_path: Path, line: str, sentence: str
) -> None:
    path = tmp_path / "runs.csv"
    run = "8,16,2,1024,16,24,1024,2,2,2,250.5,multi-node"
    path.write_text(f"{','.join(COLUMNS)}\n{run}\n{line}\n")
    with pytest.raises(ValueError, match=sentence):
        read_runs(path)
    path.write_text(f"{','.join(COLUMNS)}\n{run}\n,\n\n")
    assert len(read_runs(path)) == 1, "a line without a word is none"


def test_the_record_is_of_the_devices_calibration_and_says_which_targets_it_misses() -> None:
    path = Path(__file__).parents[2] / "validation" / "data" / "a100_iterations.json"
    record = json.loads(path.read_text())
    assert efficiency_of("a100-80g") == MEGATRON
    assert {name: getattr(MEGATRON, name) for name in FITTED} == record["efficiency"]
    errors = {(row["group"], row["pipeline"]): row["mean_absolute"] for row in record["errors"]}
    found = {
        "single_node_pipeline_2": errors["single-node", 2],
        "multi_node": record["all_multi_node_pipelines"],
    }
    missed = {
        name: round(error - record["targets"][name], 4)
        for name, error in found.items()
        if error > record["targets"][name]
    }
    assert missed == record["missed_by"]
