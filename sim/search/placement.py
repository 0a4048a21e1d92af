"""Where the stages of a searched pipeline live."""

from __future__ import annotations

from typing import Literal, get_args

Placement = Literal["straight", "loop", "v"]


def stages_on(n_devices: int, placement: Placement, chunks: int = 2) -> tuple[int, ...]:
    """The device of each stage: straight (one each), loop (s mod p) or v (down and back up)."""
    if placement not in get_args(Placement):
        raise ValueError(f"placement is {placement!r}: use one of {', '.join(get_args(Placement))}")
    if placement == "straight":
        return tuple(range(n_devices))
    if placement == "loop":
        return tuple(range(n_devices)) * chunks
    return (*range(n_devices), *range(n_devices - 1, -1, -1))
