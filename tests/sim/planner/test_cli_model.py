"""The command `model`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli import main

CONFIG = {
    "model_type": "mistral", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 4, "intermediate_size": 128, "vocab_size": 100, "sliding_window": 16,
    "vision_config": {"depth": 2},
}  # fmt: skip


def test_a_model_is_described_in_numbers_that_can_be_counted_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A layer multiplies by 4 x 64 x 64 + 3 x 64 x 128 = 40,960 weights and has two norms of 64; a
    token meets 16 others in 4 heads of 16, twice, forward once and backward twice."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert main(["model", str(tmp_path), "--sequence", "32", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    layers = 4 * (40_960 + 2 * 64)
    assert found == {
        "name": tmp_path.name,
        "sequence": 32,
        "parameters": 2 * 100 * 64 + layers + 64,
        "active_parameters": 2 * 100 * 64 + layers + 64,
        "tower_parameters": 0,
        "prediction_layers": 0,
        "prediction_parameters": 0,
        "flops_per_token": 6 * (4 * 40_960 + 100 * 64) + 4 * 3 * 2 * (16 * 2 * 64),
        "layers": [{"kind": "dense, window 16", "count": 4}],
        "notes": [
            "the vision tower (vision_config) is not counted: neither its parameters nor its work"
        ],
    }


def test_the_text_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "deepseek-v3"]) == 0
    said = capsys.readouterr().out
    assert "parameters         671,026,404,352\n" in said
    assert "layers             58 x experts\n" in said


def test_further_tokens_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another layer, 2 x 64 x 64 for its input, three norms of 64."""
    config = {**CONFIG, "vision_config": None, "num_nextn_predict_layers": 1}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(config))
    assert main(["model", str(path)]) == 0
    said = capsys.readouterr().out
    layer, rest = 40_960 + 2 * 64, 2 * 100 * 64 + 4 * (40_960 + 2 * 64) + 64
    each = layer + 2 * 64 * 64 + 3 * 64
    assert f"parameters         {rest + each:,}\n" in said
    assert f"further tokens     1 x {each:,} of them (MTP); {rest:,} without\n" in said
    assert said.startswith("mine, sequence 4,096\n")


def test_a_plan_tells_what_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    line = ["plan", "--model", str(path), "--cluster", "2xh100", "--batch", "4", "--jobs", "1"]
    assert main([*line, "--sequence", "64", "--schedules", "1f1b", "--json"]) == 0
    assert "note: the vision tower (vision_config) is not counted" in capsys.readouterr().err


def test_no_sequence_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "llama-3-8b", "--sequence", "0"]) == 2
    assert "--sequence" in capsys.readouterr().err
