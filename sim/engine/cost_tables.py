"""Tables of costs: what people give for one, spread over stages and slices, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.numbers import Number, checked

Table = tuple[tuple[Number, ...], ...]
"""Shape `(n_stages, n_slices)`; one column serves all slices alike."""
TIMES = ("forward", "backward", "weight", "fused_backward", "recompute", "offload", "load")
"""Fields that hold times: they must be there, where others may be left out for zeros."""


def only_kept_is_freed(activation: Table, backward: Table) -> None:
    """ValueError if B gives back more than F keeps."""
    for stage, (kept, at_b) in enumerate(zip(activation, backward, strict=True)):
        for part in range(max(len(kept), len(at_b))):
            has, change = kept[min(part, len(kept) - 1)], at_b[min(part, len(at_b) - 1)]
            if has + change < 0:
                raise ValueError(
                    f"backward_bytes of stage {stage} is {change}: B cannot give back more than "
                    f"the {has} bytes its F kept"
                )


def cell_of(table: Table, row: int, part: int) -> Number:
    """What stands in a row for a slice; one column serves all."""
    found = table[row]
    return found[part if len(found) > 1 else 0]


def scales(value: Any, n_stages: int) -> Table:
    """Factors per microbatch as a checked table."""
    if not hasattr(value, "__len__"):
        factor = checked(value, "microbatch_scale")
        raise ValueError(f"microbatch_scale is {factor!r}: it must have a factor per microbatch")
    table = spread(value, 0)
    for microbatch, row in enumerate(table):
        if len(row) not in (1, n_stages):
            raise ValueError(
                f"microbatch_scale of microbatch {microbatch} has {len(row)} numbers: it must have "
                f"1, or one for each of {n_stages} stages"
            )
    return tuple(
        tuple(checked(cell, f"microbatch_scale of microbatch {m}") for cell in row)
        for m, row in enumerate(table)
    )


def checked_parts(value: Any, name: str) -> tuple[Number, ...]:
    """One number for all parts of the vocabulary, or one for each, as a checked column."""
    value = value.tolist() if hasattr(value, "tolist") else value
    column = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if not column:
        raise ValueError(f"{name} is empty: give one number, or one per device")
    return tuple(checked(cell, f"{name} of part {part}") for part, cell in enumerate(column))


def spread(value: Any, rows: int) -> Table:
    """One number for all rows, or one row (or number) each, as a table; arrays count as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(
            tuple(row) if isinstance(row, Sequence) and not isinstance(row, str) else (row,)
            for row in (row.tolist() if hasattr(row, "tolist") else row for row in value)
        )
    return ((value,),) * rows


def checked_table(value: Any, name: str, rows: int) -> Table:
    """`value` as a checked table of `rows` rows; times must be there, the rest may mean zeros."""
    table = () if value is None and name not in TIMES else spread(value, rows)
    if not table and name not in TIMES:
        return ((0,),) * rows
    if len(table) != rows:
        raise ValueError(f"{name} has {len(table)} rows: it must have {rows}")
    of = "boundary" if name in ("send", "boundary_bytes") else "stage"
    for row, cells in enumerate(table):
        if not cells:
            raise ValueError(f"{name} of {of} {row} is empty: give one number, or one per slice")
        if len(cells) > 1 and name in ("send", "static_bytes", "gradient_sum", "gradient_bytes"):
            raise ValueError(f"{name} of {of} {row} has {len(cells)} numbers: it must have 1")
    signed = name == "backward_bytes"
    return tuple(
        tuple(checked(cell, f"{name} of {of} {row}", signed=signed) for cell in cells)
        for row, cells in enumerate(table)
    )
