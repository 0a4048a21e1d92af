"""One published run: the columns of the table, read with care.

Columns: source, model, gpu, n_gpus; tp, pp, vp (stages per device), cp, ep, dp (n_gpus is their
product without vp and ep), mbs, gbs, seq; precision, recompute, schedule (a family of ours);
measured and unit as printed; measured_s where seconds follow without a model of FLOPs;
measured_mem_gib and mem_note; missing: what once could not be expressed, kept as a hint where no
other column says it; detail ("complete", or "assumed" where a setting was filled in); attention,
zero, sp (sequence parallelism), cut, between (a wire), gradient_bytes, bytes_per_parameter (weights
+ gradients + optimizer), clock; shape (the model as JSON, field names of `sim.models.Model`); note.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("source", "model", "gpu", "n_gpus", "tp", "pp", "mbs", "gbs", "seq", "schedule",
           "measured", "unit", "shape")  # fmt: skip
DATA = Path(__file__).parents[1] / "data" / "published_runs.csv"
_FAILED = ("out of memory", "out-of-memory", "oom")


@dataclass(frozen=True)
class Row:
    """One published run; `cells` are the columns as text, "" where a cell is empty."""

    cells: dict[str, str]

    def text(self, name: str, default: str = "") -> str:
        """The cell without blanks around it."""
        return (self.cells.get(name) or "").strip() or default

    def number(self, name: str) -> float | None:
        """The cell as a finite number; None where it is empty or none."""
        try:
            found = float(self.text(name))
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    def size(self, name: str, default: int | None = None) -> int | None:
        """The cell as a whole number >= 1; `default` where it is empty or none."""
        found = self.number(name)
        return int(found) if found is not None and found >= 1 and found % 1 == 0 else default

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1", "yes")

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the source says that this run failed for memory."""
        said = [self.text(name).lower() for name in ("measured", "unit", "measured_mem_gib",
                                                     "mem_note", "note")]  # fmt: skip
        failed = any(word in text for text in said for word in _FAILED)
        return failed and self.number("measured") is None


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a table; ValueError names a column that is missing."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        there = reader.fieldnames or []
        if missing := [name for name in COLUMNS if name not in there]:
            raise ValueError(
                f"{path} has no column {missing[0]!r}: a table of published runs has the columns "
                f"of validation/data/published_runs.csv"
            )
        return [
            Row({name: cell for name, cell in row.items() if name and isinstance(cell, str)})
            for row in reader
        ]
