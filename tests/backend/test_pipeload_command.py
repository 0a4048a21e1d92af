"""The command that streams a stored model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import typer  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from backend.pipeload.cli import pipeload_command  # noqa: E402
from backend.pipeload.demo import make_demo  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def command(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(pipeload_command)
    return CliRunner().invoke(app, arguments)


def test_the_command_makes_a_demo_and_runs_it_under_the_limit(tmp_path: Path) -> None:
    where = str(tmp_path / "demo")
    small = ("--layers", "4", "--width", "32", "--heads", "2", "--vocabulary", "50")
    made = json.loads(command(where, "--make-demo", *small, "--json").stdout)
    assert made["layers"] == 4
    limit = made["smallest_limit"] + made["layer_bytes"]
    found = json.loads(
        command(
            where, "--memory-limit", str(limit), "--loaders", "2", "--repeats", "1", "--json"
        ).stdout
    )
    assert found["output_identical"] is True
    assert found["peak_bytes"] <= found["memory_limit"] == limit
    assert found["loaders"] == 2
    assert min(found[f"{name}_latency"] for name in ("simulated", "load_all", "one_loader")) > 0
    planned = json.loads(
        command(where, "--memory-limit", "10MB", "--repeats", "1", "--no-compare", "--json").stdout
    )
    assert planned["loaders"] >= 1
    assert "output_identical" not in planned


def test_a_wrong_limit_is_found_before_a_demo_is_written(tmp_path: Path) -> None:
    result = command(str(tmp_path / "demo"), "--make-demo", "--memory-limit", "64 miles")
    assert "--memory-limit is '64 miles'" in str(result.exception)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), r"--memory-limit is missing: this model needs at least \d+ bytes"),
        (("--memory-limit", "1k"), r"the smallest limit that works is \d+"),
        (("--memory-limit", "lots"), "--memory-limit is 'lots': give bytes, e.g. 4096, 64MB"),
        (("--memory-limit", "1GB", "--loaders", "-1"), "--loaders is -1: 1 or more"),
        (("--memory-limit", "1GB", "--disk", "0"), "--disk is 0 bytes per second: it must be"),
        (("--memory-limit", "1GB", "--per-reader", "-1"), "--per-reader is -1 bytes per second"),
        (("--memory-limit", "1GB", "--html", "/nowhere/x.html"), "there is no folder /nowhere"),
    ],
)
def test_the_command_refuses_with_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    make_demo(tmp_path / "demo", layers=2, width=16, heads=2, vocabulary=20, sequence=4)
    result = command(str(tmp_path / "demo"), *arguments)
    assert isinstance(result.exception, ValueError)
    with pytest.raises(ValueError, match=sentence):
        raise result.exception
