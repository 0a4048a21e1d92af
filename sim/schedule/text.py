"""Schedules and passes as text: the device x order grid, and reading back what `str(op)` wrote."""

from __future__ import annotations

import re

from ..base.numbers import checked_type
from ..base.text import plural
from .ir import Kind, Op, Schedule, steps
from .mechanisms import mechanisms


def grid(schedule: Schedule, *, mark: tuple[int, int] | None = None, width: int = 8) -> str:
    """The device x order grid as text; `mark=(device, position)` shows only that surrounding.

    Stages are left out where every device holds one. Fused passes are joined by `&`.
    """
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    brief = schedule.n_stages == schedule.n_devices
    lines = [
        f"{schedule.name}: {plural(schedule.n_devices, 'device')}, "
        f"{plural(schedule.n_stages, 'stage')}, {plural(schedule.n_microbatches, 'microbatch')}"
        + (f", {schedule.n_slices} slices" if schedule.n_slices > 1 else "")
        + "".join(f"; {clause}" for clause in mechanisms(schedule))
    ]
    margin = len(str(max(schedule.n_devices - 1, 0)))
    for device, order in enumerate(schedule.orders):
        cells = [str(op).partition("@")[0] if brief else str(op) for op in order]
        if mark and mark[0] == device and mark[1] < len(cells):
            cells[mark[1]] = f">{cells[mark[1]]}<"
        glue = ["&" if n else " " for step in steps(schedule, device) for n in range(len(step))]
        text = [between + cell for between, cell in zip(glue, cells, strict=True)]
        if mark:
            first, end = max(mark[1] - width, 0), mark[1] + width + 1
            before, after = text[:first], text[end:]
            text = text[first:end]
            text = ([" ..."] if before and text else []) + text + ([" ..."] if after else [])
        lines.append(f"device {device:{margin}d} |{''.join(text)}")
    return "\n".join(lines)


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
