"""Published throughput of sharded training: what two fitted numbers per device predict."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

from sim.planner.cost_model import Efficiency
from validation.llm_foundry import (
    FITTED,
    KINDS,
    START,
    calibration,
    error,
    error_table,
    fitted,
    groups,
    read_runs,
)

FINDINGS = Path(__file__).parents[2] / "docs" / "findings.md"
RUNS = read_runs()


def test_runs_are_fitted_or_predicted_and_none_is_both() -> None:
    assert len(RUNS) == 152
    found = [run for kind in KINDS for part in groups(RUNS, kind).values() for run in part]
    assert sorted(map(repr, found)) == sorted(map(repr, RUNS))
    assert all(run.configuration.n_devices == run.gpus for run in RUNS)


@pytest.mark.parametrize("kind", KINDS)
def test_runs_that_nothing_was_fitted_to_are_predicted_as_the_findings_say(kind: str) -> None:
    rows = {row.group: row for row in error_table(groups(RUNS, kind), calibration(kind))}
    alone, several = rows["one node, predicted"], rows["several nodes, predicted"]
    assert alone.mean_absolute < 0.055
    told = [line for line in FINDINGS.read_text().splitlines() if "LLM Foundry" in line]
    for row in (alone, several):
        assert f"{100 * row.mean_absolute:.1f} %" in told[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_numbers_are_as_good_as_what_the_fit_finds(kind: str) -> None:
    runs = groups(RUNS, kind)["one node, fitted"]
    found, committed = fitted(runs), calibration(kind)
    least, held = (fmean(abs(error(run, each)) for run in runs) for each in (found, committed))
    assert least <= held < 1.01 * least
    for name in FITTED:
        assert getattr(found, name) == pytest.approx(getattr(committed, name), rel=0.01)


def test_a_fit_finds_the_numbers_behind_made_up_runs() -> None:
    true = Efficiency(**{**vars(START), "matmul": 0.6, "fused_attention": 0.4})
    runs = groups(RUNS, "h100")["one node, fitted"][::3]  # seven, for two numbers
    made = [run._replace(throughput=run.throughput * (1 + error(run, true))) for run in runs]
    found = fitted(made)
    assert [getattr(found, name) for name in FITTED] == pytest.approx([0.6, 0.4], rel=1e-4)
