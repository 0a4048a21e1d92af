"""Costs as JSON, exact: `costs_to_json` and `costs_from_json`."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from fractions import Fraction
from typing import Any

from ..base.json_text import parsed
from ..base.numbers import checked_type, plain
from .costs import FIX, Costs

JSON_FORMAT = "pipebubble.costs/1"


def costs_to_json(costs: Costs) -> str:
    """The costs as one JSON object, exact: a number no float can hold is written as "1/3"."""
    checked_type(costs, Costs, FIX)

    def cell(value: Any) -> Any:
        if isinstance(value, tuple):
            return [cell(entry) for entry in value]
        return str(value) if isinstance(value, Fraction) else value

    found = {field.name: cell(getattr(costs, field.name)) for field in fields(costs)}
    for name, unset in _LATER.items():
        if found[name] == unset or (unset == 0 and _zero(found[name])):
            del found[name]
    return json.dumps({"format": JSON_FORMAT, **found})


def costs_from_json(text: str) -> Costs:
    """The costs in `text`; ValueError with one sentence if it holds none.

    Cells may be one number, one per stage, or one per stage and slice, as in `Costs.of`. Keys that
    are no field of `Costs` (spread, links, provenance of a measured profile) are passed over.
    """
    found = parsed(text)
    if not isinstance(found, dict) or not isinstance(found.get("forward"), list):
        raise ValueError(
            'no costs: expected a JSON object with a list "forward", one row per stage'
        )
    known = {field.name for field in fields(Costs)}

    def cell(value: Any) -> Any:
        if isinstance(value, list):
            return [cell(entry) for entry in value]
        if isinstance(value, str):
            if not _FRACTION.fullmatch(value):
                raise ValueError(f"{value!r} is not a number; a fraction is written as 1/3")
            return plain(Fraction(value))
        return value

    missing = {"forward", "backward", "weight"} - set(found)
    if missing:
        raise ValueError(f"costs lack {min(missing)!r}")
    return Costs.of(
        len(found["forward"]), **{name: cell(found[name]) for name in known & set(found)}
    )


_LATER: dict[str, Any] = {
    "microbatch_scale": [],
    "recompute": None,
    "recompute_keeps": 0,
    "offload": None,
    "load": None,
    "copy_latency": 0,
    "gradient_sum": 0,
    "gradient_bytes": 0,
    "vocabulary_scores": 0,
    "vocabulary_gradients": 0,
    "all_reduce": 0,
    "logits_bytes": 0,
    "recompute_bytes": None,
    "all_to_all": 0,
    "all_to_all_backward": None,
}
"""Fields that files of before do not have, and what they are where nobody set them: written where
they say something, which nothing but zeros does not."""


def _zero(cell: Any) -> bool:
    """Whether a cell, or all of a list, is 0."""
    return all(map(_zero, cell)) if isinstance(cell, list) else cell == 0


_FRACTION = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300}|/0{0,300}[1-9][0-9]{0,300})?")
