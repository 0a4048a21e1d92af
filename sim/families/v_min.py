"""V-Min: the least memory a V of stages can do with, a third of 1F1B's."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .blocks.build import Block, schedule, v_placement
from .family import Family


def v_min(n_devices: int, n_microbatches: int) -> Schedule:
    """V-Min: forwards and backwards step through the V one cell at a time.

    At F=B=W, m >= 2p, on either clock: bubble (6p-1-3k)F/2 with k the peak in chunks, 2F more where
    p mod 3 = 2. Peak k/2 = floor((p+4)/3) shares. For p >= 3 a microbatch takes max(F+B+W, 3F, 3B)
    once the pipeline is full: where F and B differ much, the bubble repeats.

    >>> print(v_min(2, 2))
    v-min: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 B0@3 F1@3 B1@3 B0@0 W0@3 B1@0 W1@3 W0@0 W1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 B0@2 B0@1 B1@2 B1@1 W0@2 W0@1 W1@2 W1@1

    Source: Qi et al. 2024, arXiv 2405.15362. Where m < 2p ours may be shorter than the authors'.
    """
    limit = 2 * ((n_devices + 4) // 3)
    return schedule(v_min_block(n_devices), n_microbatches, limit=limit)


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
    bubble="(6*p - 1 - 6*((p+4)//3) + 4*(p % 3 == 2))*F/2",
    peak="min((p+4)//3, m)",
    exact_when="F == B == W and p >= 2 and m >= 2*p",
    source="Qi et al. 2024, arXiv 2405.15362",
)
