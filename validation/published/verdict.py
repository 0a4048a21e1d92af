"""A prediction against what was measured, in relative errors of throughput and of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sim.base.progress import bar
from sim.planner.cost_model import model_flops
from sim.planner.hardware import DEVICES

from .machine import NAMES
from .predict import Prediction, model, predict
from .row import Row
from .split import is_fitted

UNKNOWN = "not said"
"""In a `mem_note`: whether memory was reserved or allocated. The others say "allocated", which is
what we predict, or count what the allocator or the card holds."""


class Verdict(NamedTuple):
    """A row with its prediction. error: predicted throughput over measured, minus one; memory_error
    the same of GiB, where the source says that it printed what was allocated. None where either
    side is unknown."""

    row: Row
    prediction: Prediction
    error: float | None
    memory_error: float | None
    fitted: bool

    def as_json(self) -> dict[str, Any]:
        """The input columns, and what was predicted."""
        return {
            **self.row.cells,
            "predicted_s": self.prediction.seconds,
            "predicted_mem_gib": self.prediction.memory_gib,
            "error": self.error,
            "refused": self.prediction.refused,
            "missing": self.prediction.missing,
            "memory_error": self.memory_error,
            "fitted": self.fitted,
        }


def judged(rows: Sequence[Row], *, progress: bool = False) -> list[Verdict]:
    """Every row with its prediction and its errors, in the same order; progress: a bar."""
    found = []
    with bar("predicting", len(rows), shown=progress) as move:
        for row in rows:
            found.append(_verdict(row, predict(row)))
            if move:
                move(len(found))
    return found


def measured_seconds(row: Row) -> float | None:
    """Seconds of a measured iteration: printed, or from a rate; None where it does not follow.

    MFU and model FLOPs per second count all passes once and no causal mask, as ours do.
    """
    if (found := row.number("measured_s")) is not None:
        return found if found > 0 else None
    rate, unit = row.number("measured"), row.text("unit").lower()
    if not rate or rate < 0:
        return None
    if unit in ("s/iter", "s"):
        return rate
    if unit in ("ms/iter", "ms"):
        return rate / 1e3
    sequence, batch, count = (row.size(name) for name in ("seq", "gbs", "n_gpus"))
    if not (sequence and batch and count):
        return None
    if unit == "tokens/s/gpu":
        return sequence * batch / count / rate
    if unit == "samples/s/gpu":
        return batch / count / rate
    try:
        flops = batch * model_flops(model(row), sequence) / count
    except ValueError:
        return None
    if unit == "mfu %":
        device = DEVICES.get(NAMES.get(row.text("gpu"), row.text("gpu")))
        return flops / (rate / 100) / device.flops if device else None
    return flops / (rate * 1e12) if unit == "model tflops/gpu" else None


def _verdict(row: Row, found: Prediction) -> Verdict:
    measured, memory = measured_seconds(row), row.number("measured_mem_gib")
    error = measured / found.seconds - 1 if measured and found.seconds else None
    memory_error = None
    if memory and found.memory_gib is not None and _allocated(row.text("mem_note").lower()):
        memory_error = found.memory_gib / memory - 1
    return Verdict(row, found, error, memory_error, is_fitted(row))


def _allocated(note: str) -> bool:
    return "allocated" in note and UNKNOWN not in note
