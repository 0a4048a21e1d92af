"""torchtitan's own functions train its debug model under our schedules: `pytest -m torchtitan`."""

from __future__ import annotations

import importlib
import sys

import pytest

torch = pytest.importorskip("torch")
from torch_ranks import ranks_of  # noqa: E402
from train_ranks import EXAMPLES  # noqa: E402


@pytest.mark.torchtitan
@pytest.mark.parametrize("family", ["zb-h1", "interleaved", "v-half", "v-min", "dualpipe-v"])
def test_torchtitan_trains_from_our_csv_like_one_process(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run with torchtitan 0.3.0 and triton installed; it needs no GPU."""
    pytest.importorskip("torchtitan")
    losses = ranks_of(2, "train_ranks", "example", "train_torchtitan", family)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("train_torchtitan")
    torch.set_default_dtype(torch.float64)
    try:
        expected = example.in_one_process(2)
    finally:
        torch.set_default_dtype(torch.float32)
        sys.modules.pop("train_torchtitan")
    # torchtitan computes the loss in 32 bits; a wrong gradient moves the next loss by far more.
    assert losses[0] == losses[1] == pytest.approx(expected, rel=1e-6)
    assert len({*expected}) == 3
