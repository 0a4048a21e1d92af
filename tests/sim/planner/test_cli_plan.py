"""The command that plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def _command(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    from sim.cli.commands import main

    code = main(["plan", *words])
    found = capsys.readouterr()
    return code, found.out, found.err


ASK = ("--cluster", "8xh100", "--sequence", "4096", "--batch", "32", "--schedules", "1f1b,zb-v",
       "--jobs", "1")  # fmt: skip


def test_the_command_prints_one_json_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    titan, html = tmp_path / "titan", tmp_path / "row.html"
    code, out, _ = _command(
        "--model", "llama-3-8b", *ASK, "--json", "--rows", "3", "--robust", "5", "--replay", "1",
        "--pipeline", "4", "--torchtitan-dir", str(titan), "--html", str(html), capsys=capsys,
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert found["model"] == "llama-3-8b"
    assert [row["rank"] for row in found["rows"]] == [1, 2, 3]
    assert {"schedule", "samples_per_second", "mfu", "memory_gib"} <= set(found["rows"][0])
    assert len(found["robustness"]) == 3
    assert found["replay"][0]["engine_seconds"] > 0
    assert sum(found["counts"].values()) >= 3
    assert "--parallelism.pipeline_parallel_degree 4" in (titan / "torchtitan.sh").read_text()
    assert len((titan / "schedule.csv").read_text().splitlines()) == 4
    assert "plotly" in html.read_text()


def test_the_command_reads_a_config_and_shows_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({
        "num_hidden_layers": 8, "hidden_size": 512, "num_attention_heads": 8, "vocab_size": 1000,
    }))  # fmt: skip
    code, out, _ = _command("--model", str(path), *ASK, capsys=capsys)
    assert code == 0
    assert "samples/s" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "gpt-5", "--cluster", "8xh100"), "no model 'gpt-5'"),
        (("--model", "llama-3-8b", "--cluster", "8xabacus"), "no cluster '8xabacus'"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--tensor", "two"), "give whole numbers"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--clock", "sun"), "use makespan or"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--recompute", "half"), "recompute is"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--rows", "-3"), "rows is -3"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--replay", "-1"), "replay is -1"),
        (("--model", "llama-3-8b", "--cluster", "8xh100", "--html", "no/a.html"), "no folder no"),
    ],
)
def test_the_command_fails_with_one_sentence(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _command(*words, capsys=capsys)
    assert code in (1, 2)
    assert sentence in err
    assert not out
    assert "Traceback" not in err
