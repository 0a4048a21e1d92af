"""What the programs behind published runs overlap, as far as a row or its source says so."""

from __future__ import annotations

from typing import Any

from .row import Row

WITHOUT = ("BigScience", "SimuMax")
"""Sources whose program waits for all collectives: Megatron-DeepSpeed of early 2022, whose pipeline
engine reduces gradients after the last pass, and whose layers all-reduce before they go on; and
SimuMax, whose measured runs overlap nothing (its notes say so for B200)."""


KEPT_IN_16 = ("NVIDIA dgxc", "Megatron-Bridge")
"""Sources whose recipes set `grad_reduce_in_fp32` to False, so that gradients are kept in the 16
bits in which they are reduced."""


def gradients_kept(row: Row, told: float) -> float:
    """Bytes of a gradient that a device keeps, where the table's are those of other programs."""
    short = row.text("source").startswith(KEPT_IN_16) and row.number("gradient_bytes") == 2
    return 2.0 if short else told


def overlaps(row: Row) -> dict[str, Any]:
    """The options of a configuration that say what runs beside the passes: where a note says that
    nothing does, or it is known of the program; otherwise what a plan takes by default.

    That collectives of tensor parallelism are overlapped is noted of some rows only, of programs
    that do it in all of them, so that it is not told apart.
    """
    if "no overlap" in row.text("note").lower() or row.text("source").startswith(WITHOUT):
        return {"tensor_overlap": "none", "data_overlap": False}
    return {}
