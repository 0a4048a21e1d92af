"""Errors about a field name the option that was typed."""

from __future__ import annotations

import pytest

from sim.cli.commands import main
from sim.cli.option_errors import by_option

ASKED = ["plan", "--model", "llama-3-8b", "--cluster", "8xh100", "--batch", "16"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--precision", "fp9"], "--precision is 'fp9': use one of bf16, fp8, mxfp8, nvfp4"),
        (["--precision", ""], "--precision is empty: name at least one, e.g. bf16"),
        (["--context", "3"],
         "--context 3 does not divide 8 devices: the nearest size that does is 2"),
        (["--context", "0"], "--context has 0: sizes are whole numbers >= 1"),
        (["--context-by", "star"],
         "--context-by is 'star': use one of ring, all-to-all, all-gather"),
        (["--program", "jax"], "--program is 'jax': use one of megatron,"),
        (["--rows", "0"], "--rows is 0: it must be a whole number >= 1"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_by_its_option(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASKED, *given]) == 1
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("search -p 2 -m 2 --memory-limit 2 --jitter 0.1 --quantile 2", "--quantile is 2.0"),
        ("search -p 2 -m 2 --memory-limit 2 --levers recompute --recompute-keeps 2",
         "--recompute-keeps is 2"),
    ],
)  # fmt: skip
def test_so_do_those_of_a_search(given: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given.split()) == 1
    assert capsys.readouterr().err.startswith(f"error: {told}")


def test_sentences_about_anything_else_stay_as_they_are() -> None:
    for text in ("no family 'x'", "batch 16 is not divisible by 7", "data is there"):
        assert by_option(text, ["--batch", "16", "--tensor", "2"]) == text
