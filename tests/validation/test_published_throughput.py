"""Published throughput and published winners come out of the planner with one fitted number."""

from __future__ import annotations

import json

import pytest

from validation.published_throughput import (
    DATA,
    MATMUL,
    published_winners,
    rankings,
    throughput,
    winners,
)

RECORD = json.loads((DATA / "replication.json").read_text())
CASES = {case["sequence"]: case for case in published_winners()["cases"]}


@pytest.mark.slow
def test_published_throughput_is_met_within_ten_percent() -> None:
    """Wider than the recorded 7.3 %: orders are searched here for a shorter time."""
    cells = [cell for cell in throughput(microbatches=(24,), moves=5_000_000) if cell.published]
    assert len(cells) == 6
    assert max(abs(cell.error) for cell in cells) < 0.10


@pytest.mark.slow
def test_schedules_rank_as_published_on_equally_balanced_stages() -> None:
    found = rankings(throughput(cut="balanced", microbatches=(24,), moves=5_000_000))
    for order in found.values():
        assert order[:2] == ["zb-2p", "zb-v"]
        assert set(order[2:4]) == {"interleaved", "zb-1p"}
        assert order[4] == "1f1b"


@pytest.mark.slow
@pytest.mark.parametrize("sequence", CASES)
def test_the_published_winner_wins_by_the_published_gain(sequence: int) -> None:
    case = CASES[sequence]
    found = winners(case)
    assert found.winner == case["winner"]
    assert found.gain == pytest.approx(case["gain"], abs=0.05)
    for schedule, mfu in case["mfu"].items():
        ratio = found.mfu[schedule] / found.mfu["1f1b"]
        assert ratio == pytest.approx(mfu / case["mfu"]["1f1b"], abs=0.05)


def test_the_record_is_of_the_committed_number_and_tells_the_misses() -> None:
    assert RECORD["matmul"] == MATMUL
    assert RECORD["one_layer_less_at_the_ends"]["largest_error"] < 0.10
    assert RECORD["misses"]
