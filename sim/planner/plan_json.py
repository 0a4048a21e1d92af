"""A plan as one object for other programs: seconds and bytes, not rounded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .explanation import (
    WORDS,
    Explained,
    assumptions,
    best_of_each,
    precisions_of,
    zero_bubble_or_not,
)
from .problem import Problem
from .rows import configuration_of

if TYPE_CHECKING:
    import pandas as pd


def plan_object(
    problem: Problem, table: pd.DataFrame, details: Mapping[int, Explained], *, rows: int
) -> dict[str, Any]:
    """All of a plan for other programs: seconds and bytes, not rounded."""
    done = table[table["status"] == "simulated"]
    refused = table[table["status"] != "simulated"]
    return {
        **{str(name): value for name, value in table.attrs.items()},
        "assumptions": assumptions(problem, configuration_of(done.iloc[0]), precisions_of(table))
        if len(done)
        else {},
        "zero_bubble_or_not": zero_bubble_or_not(table) if len(done) else "",
        "counts": {str(key): int(n) for key, n in table["status"].value_counts().items()},
        "best": [_detailed(record, details) for record in records(best_of_each(table))],
        "rows": [_detailed(record, details) for record in records(done.head(rows))],
        "refused": records(refused[["key", "status", "reason"]]),
        "words": WORDS,
    }


def _detailed(record: dict[str, Any], details: Mapping[int, Explained]) -> dict[str, Any]:
    del record["reason"]
    if record["rank"] not in details:
        return record
    found = details[record["rank"]]
    return record | {
        "parts": found.seconds._asdict(),
        "memory": {
            "devices": [row._asdict() for row in found.devices],
            "stages": [row._asdict() for row in found.stages],
        },
        "advice": found.advice,
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as objects of JSON."""
    return [
        {str(name): _plain(value) for name, value in record.items()}
        for record in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else None
