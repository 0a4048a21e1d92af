"""V-ZB: no bubble on any device, at the memory of 1F1B."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .blocks.build import Block, schedule, v_placement
from .family import Family


def v_zb(n_devices: int, n_microbatches: int) -> Schedule:
    """V-ZB: passes step down the V four cells at a time and come back two at a time.

    Bubble 0 on the longest stage at F=B=W, m >= 2p; the makespan still shows the (p-1)F/2 by which
    devices start one after another. Peak p shares on every device.

    >>> print(v_zb(2, 2))
    v-zb: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 B0@3 F1@3 B1@3 B0@0 W0@3 B1@0 W1@3 W0@0 W1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 B0@2 B0@1 B1@2 B1@1 W0@2 W0@1 W1@2 W1@1

    Source: Qi et al. 2024, arXiv 2405.15362.
    """
    return schedule(v_zb_block(n_devices), n_microbatches, limit=2 * n_devices)


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
    bubble="0",
    peak="min(p, m)",
    clock="longest_stage",
    exact_when="F == B == W and m >= 2*p",
    source="Qi et al. 2024, arXiv 2405.15362",
)
