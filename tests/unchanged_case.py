"""What a case of `unchanged.py` is, and how its calls print what they find, to the last digit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

Step = str | Callable[[], None]
"""A command without its `python -m`, or a call that prints."""


@dataclass(frozen=True)
class Case:
    """Steps one after the other, in a folder of their own with these files.

    keep, drop: keys of the JSON on stdout to compare, or not to. digits: of its numbers.
    """

    name: str
    steps: tuple[Step, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    digits: int = 0


def command(words: str, *, title: str = "", **more: Any) -> Case:
    """A case of one command, named by it."""
    return Case(f"{title}{words}", (words,), **more)


def call(expression: str, *, title: str = "", **more: Any) -> Case:
    """A case of one expression, named by it."""
    return Case(f"{title}{expression}", (partial(tell, expression),), **more)


def names() -> dict[str, Any]:
    """What expressions may use; all of it keeps its name wherever it is moved to."""
    import json
    import math
    from dataclasses import replace
    from fractions import Fraction
    from pathlib import Path

    import numpy as np
    import pandas as pd

    import sim

    used = locals().copy()

    def fam(name: str, p: int, m: int, **options: Any) -> Any:
        return sim.FAMILIES[name](p, m, **options)

    def unit(schedule: Any, **more: Any) -> Any:
        return sim.Costs.uniform(schedule, **{"forward": 10, "backward": 12, "weight": 8} | more)

    def built(*rows: str, placement: Any = None, m: int = 1, k: int = 1) -> Any:
        """A schedule of one text row per device; `&` joins fused passes."""
        steps = [[tuple(map(sim.parse_op, cell.split("&"))) for cell in row.split()] for row in rows]
        return sim.Schedule(
            placement=tuple(range(len(rows))) if placement is None else tuple(placement),
            orders=tuple(tuple(op for step in row for op in step) for row in steps),
            n_microbatches=m, n_slices=k, name="test",
            fused=tuple(step for row in steps for step in row if len(step) > 1),
        )  # fmt: skip

    return used | {"fam": fam, "unit": unit, "built": built}


def tell(expression: str, given: Mapping[str, Any] | None = None) -> None:
    """Print the value of an expression, or what it raises."""
    try:
        value = eval(expression, names() | dict(given or {}))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
    else:
        show(value)


def show(value: Any) -> None:
    """Print a value with every digit, types included."""
    if hasattr(value, "to_csv"):
        print({str(name): str(kind) for name, kind in value.dtypes.items()})
        print(value.to_csv(index=False) if len(value) <= 300 else digest(value.to_csv(index=False)))
    elif isinstance(value, str) and len(value) > 20_000:
        print(digest(value))
    else:
        print(value if isinstance(value, str) else repr(value))


def digest(text: str) -> str:
    """A text too long to be shown."""
    return f"{len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()}"
