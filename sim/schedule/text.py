"""Schedules and passes as text: the device x order grid, and reading back what `str(op)` wrote."""

from __future__ import annotations

import re

from ..base.numbers import checked_type
from .ir import Kind, Op, Schedule


def grid(schedule: Schedule, *, mark: tuple[int, int] | None = None, width: int = 8) -> str:
    """The device x order grid as text; `mark=(device, position)` shows only that surrounding.

    Stages are left out where every device holds one. Fused passes are joined by `&`.
    """
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    return schedule.grid(mark=mark, width=width)


_OP = re.compile(
    r"(?P<kind>BW|F|B|W|R|O|L|S|T)(?P<microbatch>[0-9]{1,9})(?:\.(?P<slice>[0-9]{1,9}))?@(?P<stage>[0-9]{1,9})"
)


def parse_op(text: str) -> Op:
    """The `Op` that `str` wrote; ValueError on anything else."""
    found = _OP.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a pass: expected e.g. F3@5 or BW0.1@2")
    kind: Kind = found["kind"]  # type: ignore[assignment]
    return Op(kind, int(found["stage"]), int(found["microbatch"]), int(found["slice"] or 0))
