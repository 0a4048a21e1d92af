"""The device x order grid of a schedule: what it prints, and what errors show."""

from __future__ import annotations

from collections.abc import Iterable

from .passes import Step


def grid_text(
    heading: str,
    rows: Iterable[Iterable[Step]],
    *,
    brief: bool,
    mark: tuple[int, int] | None = None,
    width: int = 8,
) -> str:
    """`heading`, then a line of passes per device; those of one step are joined by `&`.

    rows: the steps of each device. brief: leave the stages out.
    mark: (device, position) of the one pass to point at, with no more than `width` around it.
    """
    lines = [heading]
    rows = [list(row) for row in rows]
    margin = len(str(max(len(rows) - 1, 0)))
    for device, row in enumerate(rows):
        cells = [str(op).partition("@")[0] if brief else str(op) for step in row for op in step]
        if mark and mark[0] == device and mark[1] < len(cells):
            cells[mark[1]] = f">{cells[mark[1]]}<"
        glue = ["&" if n else " " for step in row for n in range(len(step))]
        text = [between + cell for between, cell in zip(glue, cells, strict=True)]
        if mark:
            first, end = max(mark[1] - width, 0), mark[1] + width + 1
            before, after = text[:first], text[end:]
            text = text[first:end]
            text = ([" ..."] if before and text else []) + text + ([" ..."] if after else [])
        lines.append(f"device {device:{margin}d} |{''.join(text)}")
    return "\n".join(lines)
