"""V-Min: the least memory a V of stages can do with, a third of 1F1B's."""

from __future__ import annotations

from ..building_block import Block, schedule, v_placement
from ..ir import Schedule
from .family import Family


def v_min(n_devices: int, n_microbatches: int) -> Schedule:
    """V-Min: forwards and backwards step through the V one cell at a time.

    Bubble (6p-1-3k)/6 F+B+W
    """
    return schedule(v_min_block(n_devices), n_microbatches)


def v_min_block(n_devices: int) -> Block:
    """Where V-Min's passes of one microbatch start; W's float."""
    p, gap = n_devices, 2 if n_devices % 3 == 0 else 0
    down, up = range(p), range(p - 1, -1, -1)
    return Block(
        placement=v_placement(p),
        offsets={
            "F": [*(i for i in down), *(2 * p - 1 - i for i in up)],
            "B": [*(4 * p - 1 + gap - i for i in down), *(2 * p + gap + i for i in up)],
        },
        interval=6,
        name="v-min",
    )


V_MIN = Family(
    "v-min",
    v_min,
    placement="V",
    passes="F B W",
    bubble="",
    peak="",
    source="Qi et al. 2024, arXiv 2405.15362, section 3",
)
