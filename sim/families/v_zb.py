"""V-ZB: no bubble on any device, at the memory of 1F1B."""

from __future__ import annotations

from ..building_block import Block, schedule, v_placement
from ..ir import Schedule
from .family import Family


def v_zb(n_devices: int, n_microbatches: int) -> Schedule:
    """V-ZB: passes step down the V four cells at a time and come back two at a time."""
    return schedule(v_zb_block(n_devices), n_microbatches)


def v_zb_block(n_devices: int) -> Block:
    """Where V-ZB's passes of one microbatch start; each W floats into the cell after its B."""
    p = n_devices
    down, up = range(p), range(p - 1, -1, -1)
    return Block(
        placement=v_placement(p),
        offsets={
            "F": [*(4 * i for i in down), *(6 * p - 3 - 2 * i for i in up)],
            "B": [*(12 * p - 5 - 2 * i for i in down), *(6 * p - 2 + 4 * i for i in up)],
        },
        interval=6,
        name="v-zb",
    )


V_ZB = Family(
    "v-zb",
    v_zb,
    placement="V",
    passes="F B W",
    bubble="",
    peak="",
    source="Qi et al. 2024, arXiv 2405.15362, section 3",
)
