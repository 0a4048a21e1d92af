"""`python -m validation`: every command helps, prints JSON, and refuses in one sentence."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sim.planner.cost_model import efficiency_of
from validation import published_throughput
from validation.cli.commands import COMMANDS, main
from validation.llm_foundry import FOUND
from validation.vtrain import COLUMNS

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0, words
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = said(capsys, name, "--help")
    assert f"Example: python -m validation {name}" in text
    assert "--json" in text


def test_commands_in_the_texts_exist_with_their_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = set()
    for path in TEXTS:
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        assert "python -m validation." not in text, path.name
        for command in re.findall(r"`python -m validation ([^`#]+)`", text):
            name, *words = shlex.split(command)
            found.add(name)
            text_of = said(capsys, name, "--help")
            assert all(word in text_of for word in words if word.startswith("-")), command
    assert {"report", "vtrain", "llm-foundry", "throughput", "searches"} <= found


@pytest.fixture
def iterations(tmp_path: Path) -> Path:
    """Two measured iterations: one without a pipeline, one with."""
    path = tmp_path / "measured.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerow([1, 16, 2, 1024, 16, 8, 1024, 1, 1, 1, "500", "single-node"])
        writer.writerow([2, 16, 2, 1024, 16, 8, 1024, 1, 1, 2, "300", "single-node"])
    return path


def test_vtrain_prints_efficiencies_and_errors(
    capsys: pytest.CaptureFixture[str], iterations: Path
) -> None:
    found = json.loads(said(capsys, "vtrain", str(iterations), "--json"))
    assert found["efficiency"]["memory"] == efficiency_of("a100-80g").memory
    assert [(row["group"], row["pipeline"], row["runs"]) for row in found["errors"]] == [
        ("single-node", 1, 1),
        ("single-node", 2, 1),
    ]
    assert found["all_single_node_pipelines"] == found["errors"][1]["mean_absolute"]
    assert found["all_multi_node_pipelines"] is None
    text = said(capsys, "vtrain", str(iterations))
    assert f"mean absolute error {found['all_single_node_pipelines']:.2%}" in text
    assert "multi node, all pipelines: none" in text


def test_a_refit_is_closer_to_the_runs_it_was_fitted_to(
    capsys: pytest.CaptureFixture[str], iterations: Path
) -> None:
    pytest.importorskip("scipy")
    committed = json.loads(said(capsys, "vtrain", str(iterations), "--json"))
    refit = json.loads(said(capsys, "vtrain", str(iterations), "--refit", "--json"))
    before, after = (found["errors"][0]["mean_absolute"] for found in (committed, refit))
    assert before > 0.05
    assert after < 1e-3


def test_a_refit_without_scipy_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from validation.cli.commands import main; sys.exit(main(['llm-foundry', '--refit']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    said_so = r"needs scipy[.\w]*, which is not installed: pip install 'pipebubble\[validation\]'\n"
    assert re.search(said_so, done.stderr)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_llm_foundry_prints_a_row_per_group_and_kind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.loads(said(capsys, "llm-foundry", "--json"))
    fitted = dict(zip(("matmul", "fused_attention"), FOUND["h100"], strict=True))
    assert found["h100"]["efficiency"] == fitted
    rows = [(kind, row["group"], row["runs"]) for kind in found for row in found[kind]["errors"]]
    assert ("a100-80g", "several nodes, predicted", 26) in rows
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    lines = said(capsys, "llm-foundry").splitlines()
    shares = [int(share) for share in re.findall(r"(\d+)%", screen.getvalue())]
    assert shares == sorted(shares)
    assert shares[-1] == 100, "a bar has an end"
    for kind, group, runs in rows:
        assert any(re.match(rf"{kind} +{group} +{runs} +\+\d", line.strip()) for line in lines)


@pytest.mark.slow
def test_throughput_prints_both_replications(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**published_throughput.published_throughput(), "microbatches": [24]}
    case = published_throughput.published_winners()["cases"][-1]
    two = {**case, "mfu": {name: case["mfu"][name] for name in ("1f1b", "v-zb")}}
    monkeypatch.setattr(published_throughput, "published_throughput", lambda: table)
    monkeypatch.setattr(published_throughput, "published_winners", lambda: {"cases": [two]})
    text = said(capsys, "throughput", "--moves", "100000")
    assert "large multiplications reach 0.78 of peak" in text
    for words in ("one layer less at the ends: mean absolute error", "balanced stages: mean"):
        assert words in text
    assert re.search(r"3072 +v-zb", text)


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        ("vtrain", 2, "missing argument"),
        ("vtrain nowhere.csv", 1, "nowhere.csv: no such file or directory"),
        ("llm-foundry --again", 2, "no such option: --again"),
        ("search", 2, "unknown command 'search': did you mean searches?"),
        ("searches curves", 2, "unknown source 'curves': there are adaptive, tables, curve"),
        ("searches -p 99", 1, "no instance is like that"),
        ("searches --moves 1 --seconds 1", 2, "--moves and --seconds are two budgets"),
        ("searches --save a.json", 2, "--save keeps what methods earn"),
        ("searches --without endings", 1, "no method is called 'endings': use some of families"),
        ("searches --every 0", 2, "--every is '0': it must be a whole number, 1 or more"),
    ],
)
def test_bad_input_ends_with_one_sentence(
    typed: str, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed.split()) == code
    out, err = capsys.readouterr()
    assert not out
    assert sentence.lower() in err.lower()
    assert err.count("\n") == 1
