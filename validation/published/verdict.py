"""A prediction against what was measured, in relative errors of throughput and of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sim.base.progress import bar

from .measured import measured_seconds
from .predict import Prediction, predict
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


def _verdict(row: Row, found: Prediction) -> Verdict:
    measured, memory = measured_seconds(row), row.number("measured_mem_gib")
    error = measured / found.seconds - 1 if measured and found.seconds else None
    memory_error = None
    if memory and found.memory_gib is not None and _allocated(row.text("mem_note").lower()):
        memory_error = found.memory_gib / memory - 1
    return Verdict(row, found, error, memory_error, is_fitted(row))


def _allocated(note: str) -> bool:
    return "allocated" in note and UNKNOWN not in note
