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
    around them. ValueError says what keeps a file from being such a table."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            names = [name.strip().lower() for name in next(reader, [])]
            _check(path, names)
            return [_row(names, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no table of comma-separated values: {error}") from None


def _row(names: list[str], cells: list[str]) -> Row:
    """Its cells by name; more or fewer of them than columns are told instead of taken."""
    found = dict(zip(names, cells, strict=False))
    if len(cells) != len(names):
        found[UNEVEN] = f"{len(cells)} cells in {len(names)} columns"
    return Row(found)


def _check(path: str | Path, names: list[str]) -> None:
    if missing := [name for name in COLUMNS if name not in names]:
        commas = ", separated by commas" if len(names) == 1 else ""
        raise ValueError(
            f"{path} has no column {missing[0]!r}: a table of published runs has the columns "
            f"of validation/data/published_runs.csv{commas}"
        )
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{path} has the column {twice[0]!r} twice: leave one out")
