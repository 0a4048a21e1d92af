"""V-Half: half the memory of 1F1B and, where passes are balanced, no repeating bubble."""

from __future__ import annotations

from ..building_block import Block, schedule, v_placement
from ..ir import Schedule
from .family import Family


def v_half(n_devices: int, n_microbatches: int) -> Schedule:
    """V-Half: passes step down the V two cells at a time and come back one at a time."""
    return schedule(v_half_block(n_devices), n_microbatches)


def v_half_block(n_devices: int) -> Block:
    """Where V-Half's passes of one microbatch start; W's float."""
    p, gap = n_devices, 3 if n_devices % 2 == 0 else 0
    down, up = range(p), range(p - 1, -1, -1)
    return Block(
        placement=v_placement(p),
        offsets={
            "F": [*(2 * i for i in down), *(3 * p - 2 - i for i in up)],
            "B": [*(6 * p - 2 + gap - i for i in down), *(3 * p - 1 + gap + 2 * i for i in up)],
        },
        interval=6,
        name="v-half",
    )


V_HALF = Family(
    "v-half",
    v_half,
    placement="V",
    passes="F B W",
    bubble="",
    peak="",
    source="Qi et al. 2024, arXiv 2405.15362, section 3",
)
