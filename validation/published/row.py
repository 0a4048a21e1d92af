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

import math
from dataclasses import dataclass
from pathlib import Path

from ..csv_table import Line, csv_table, short

COLUMNS = ("source", "model", "gpu", "n_gpus", "tp", "pp", "mbs", "gbs", "seq", "schedule",
           "measured", "unit", "shape")  # fmt: skip
NAMED = ("model", "gpu", "n_gpus")
"""Columns of which every run has one at least: a line without any is a note or a slip."""
DATA = Path(__file__).parents[1] / "data" / "published_runs.csv"
UNEVEN = "cells"
"""A column of our own: what is odd about a row that has not one cell for each column."""
UNITS = ("s/iter", "s", "ms/iter", "ms", "tokens/s/gpu", "samples/s/gpu", "mfu %",
         "model tflops/gpu")  # fmt: skip
"""Of rates from which seconds follow without a model of FLOPs, or with ours."""
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
    """The rows of a table, but for empty ones; names of columns may be in capitals and have blanks
    around them. ValueError says what keeps a file from being such a table, or a line from being a
    run."""
    expected = "a table of published runs has the columns of validation/data/published_runs.csv"
    names, lines = csv_table(path, COLUMNS, expected=expected)
    return [_row(path, names, line) for line in lines]


def _row(path: str | Path, names: list[str], line: Line) -> Row:
    """Its cells by name; more or fewer of them than columns are told instead of taken."""
    found = dict(zip(names, line.cells, strict=False))
    if not any(found.get(name) for name in NAMED):
        raise ValueError(
            f"{path}, line {line.number} is no run: {short(','.join(line.cells))} has neither "
            f"{', '.join(NAMED[:-1])} nor {NAMED[-1]}; take the line out, or fill it in"
        )
    if len(line.cells) != len(names):
        found[UNEVEN] = f"{len(line.cells)} cells in {len(names)} columns"
    return Row(found)
