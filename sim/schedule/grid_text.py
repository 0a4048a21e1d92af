"""The device x order grid of a schedule: what it prints, and what errors show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.text import plural
from .mechanisms import mechanisms
from .passes import steps

if TYPE_CHECKING:
    from .ir import Schedule


def grid_text(schedule: Schedule, *, mark: tuple[int, int] | None = None, width: int = 8) -> str:
    """The device x order grid as text; `mark=(device, position)` shows only that surrounding.

    Stages are left out where every device holds one. Fused passes are joined by `&`.
    """
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
