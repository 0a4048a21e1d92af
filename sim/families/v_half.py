"""V-Half: half the memory of 1F1B and, where passes are balanced, no repeating bubble."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .blocks.build import Block, schedule, v_placement
from .family import Family


def v_half(n_devices: int, n_microbatches: int) -> Schedule:
    """V-Half: passes step down the V two cells at a time and come back one at a time.

    At F=B=W, m >= 2p, p >= 3, on either clock: bubble (6p-1-3k)F/2 with k the peak in chunks, which
    is the least possible. Peak k/2 = floor((p+2)/2) shares. A microbatch takes
    max(F+B+W, 2F+W/2, 2B+W/2) once the pipeline is full.

    >>> print(v_half(2, 2))
    v-half: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 B0@3 F1@3 B1@3 B0@0 W0@3 B1@0 W1@3 W0@0 W1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 B0@2 B0@1 B1@2 B1@1 W0@2 W0@1 W1@2 W1@1

    Source: Qi et al. 2024, arXiv 2405.15362. Where m < 2p ours may be shorter than the authors'.
    """
    limit = 2 * ((n_devices + 2) // 2)
    return schedule(v_half_block(n_devices), n_microbatches, limit=limit)


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
    bubble="(6*p - 1 - 6*((p+2)//2))*F/2",
    peak="min((p+2)//2, m)",
    exact_when="F == B == W and p >= 3 and m >= 2*p",
    source="Qi et al. 2024, arXiv 2405.15362",
)
