"""Traces as JSON files, so that a measurement can be kept, compared again and replayed."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from sim import Trace, from_json, to_json
from sim.engine.columns import MEMORY, OPS, TRANSFERS

FORMAT = "pipebubble.trace/1"
FRAMES = {"ops": OPS, "transfers": TRANSFERS, "memory": MEMORY}


def trace_to_json(trace: Trace) -> str:
    """One JSON object: the schedule and the three frames, column by column."""
    frames = {
        name: json.loads(
            getattr(trace, name).to_json(orient="split", index=False, double_precision=15)
        )
        for name in FRAMES
    }
    return json.dumps(
        {
            "format": FORMAT,
            "schedule": json.loads(to_json(trace.schedule)),
            "origin": trace.origin,
            "iterations": trace.iterations,
            "per_unit": trace.per_unit,
            "notes": dict(trace.notes),
            **frames,
        }
    )


def trace_from_json(text: str) -> Trace:
    """The trace in `text`; ValueError with one sentence if it is none."""
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f'not a trace: expected a JSON object with "format": {FORMAT!r}')
    try:
        frames = {name: _frame(found[name], columns) for name, columns in FRAMES.items()}
        return Trace(
            from_json(json.dumps(found["schedule"])),
            ops=frames["ops"],
            transfers=frames["transfers"],
            memory=frames["memory"],
            iterations=int(found["iterations"]),
            per_unit=int(found["per_unit"]),
            origin=str(found["origin"]),
            notes=found["notes"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a trace: {error} is missing or of another shape") from None


def _frame(found: Any, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(found["data"], columns=found["columns"])
    if missing := [name for name in columns if name not in frame]:
        raise KeyError(missing[0])
    numbers = [name for name in ("written", "arrived", "cpu") if name in frame]
    return frame.astype(dict.fromkeys(numbers, float))
