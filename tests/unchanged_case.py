"""What a case of `unchanged.py` is, and how its calls print what they find, to the last digit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Call:
    """A call that prints."""

    name: str
    function: Callable[[], None]

    def __str__(self) -> str:
        return self.name


Step = str | Call
"""A command without its `python -m`, or a call."""
Content = Mapping[str, str | bytes]
"""Files by their names."""


@dataclass(frozen=True)
class Case:
    """Steps one after the other, in a folder of their own with these files.

    keep, drop: keys of the JSON on stdout to compare, or not to. digits: of its numbers. timed:
    whether a clock has a say in the answer.
    """

    name: str
    steps: tuple[Step, ...]
    files: Content = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    digits: int = 0
    timed: bool = False


def cases(
    title: str, steps: Sequence[Step], size: int = 1, files: Content | None = None, **more: Any
) -> Iterator[Case]:
    """A case for every `size` steps, named by the first of them."""
    for first in range(0, len(steps), size):
        some = tuple(steps[first : first + size])
        rest = f" and {len(some) - 1} more" if len(some) > 1 else ""
        yield Case(f"{title} {first // size + 1}: {some[0]}{rest}", some, files or {}, **more)


def asked(*expressions: str) -> list[Step]:
    """A step for every expression."""
    return [Call(expression, partial(tell, expression)) for expression in expressions]


def names() -> dict[str, Any]:
    """What expressions may use; all of it keeps its name wherever it is moved to."""
    import math
    from dataclasses import replace
    from fractions import Fraction
    from pathlib import Path

    import numpy as np
    import pandas as pd

    import sim
    from sim import pipeload

    def fam(name: str, p: int, m: int, **options: Any) -> Any:
        return sim.FAMILIES[name](p, m, **options)

    def unit(schedule: Any, **more: Any) -> Any:
        return sim.Costs.uniform(schedule, **{"forward": 10, "backward": 12, "weight": 8} | more)

    def built(*rows: str, placement: Any = None, m: int = 1, k: int = 1) -> Any:
        """A schedule of one text row per device; `&` joins fused passes."""
        steps = [
            [tuple(map(sim.parse_op, cell.split("&"))) for cell in row.split()] for row in rows
        ]
        return sim.Schedule(
            placement=tuple(range(len(rows))) if placement is None else tuple(placement),
            orders=tuple(tuple(op for step in row for op in step) for row in steps),
            n_microbatches=m, n_slices=k, name="test",
            fused=tuple(step for row in steps for step in row if len(step) > 1),
        )  # fmt: skip

    return {
        "Fraction": Fraction, "Path": Path, "built": built, "fam": fam, "math": math, "np": np,
        "pd": pd, "pipeload": pipeload, "replace": replace, "sim": sim, "unit": unit,
    }  # fmt: skip


def tell(expression: str, given: Mapping[str, Any] | None = None) -> None:
    """Print the value of an expression, or what it raises."""
    known = names() | dict(given or {})
    for package in ("backend", "validation"):
        if f"{package}." in expression:
            known.setdefault(package, import_module(package))
    try:
        value = eval(expression, known)
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
