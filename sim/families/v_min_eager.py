"""Eager V-Min: V-Min with every pass as early as its memory allows, in the steady state too."""

from __future__ import annotations

from dataclasses import replace

from ..schedule.ir import Schedule
from .blocks.build import schedule
from .family import Family
from .v_min import v_min_block


def v_min_eager(n_devices: int, n_microbatches: int) -> Schedule:
    """V-Min's block and peak, with the passes of all phases moved into earlier idle cells.

    V-Min moves those of warm-up and cool-down alone. At F=B=W, p >= 3, m >= 2p both take equally
    long, but where p mod 3 = 2 this one idles F/2 less. At (10, 12, 8), send 1, m = 32 it is 0.5 to
    3.3 % shorter for p = 4 to 20, 19 % at p = 3; where W takes most of the time V-Min may win.

    >>> print(v_min_eager(3, 2))
    v-min-eager: 3 devices, 6 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@5 B0@5 F1@5 B1@5 W0@5 W1@5 B0@0 W0@0 B1@0 W1@0
    device 1 | F0@1 F1@1 F0@4 F1@4 B0@4 W0@4 B1@4 B0@1 W1@4 B1@1 W0@1 W1@1
    device 2 | F0@2 F0@3 F1@2 F1@3 B0@3 B0@2 B1@3 B1@2 W0@3 W0@2 W1@3 W1@2

    Source: Qi et al. 2024, arXiv 2405.15362; this rule is that of AMD's Primus.
    """
    limit = 2 * ((n_devices + 4) // 3)
    block = replace(v_min_block(n_devices), name="v-min-eager")
    return schedule(block, n_microbatches, limit=limit, eager=True)


V_MIN_EAGER = Family(
    "v-min-eager",
    v_min_eager,
    placement="V",
    passes="F B W",
    bubble="(6*p - 1 - 6*((p+4)//3) + 3*(p % 3 == 2))*F/2",
    peak="min((p+4)//3, m)",
    exact_when="F == B == W and p >= 3 and m >= 2*p",
    source="Qi et al. 2024, arXiv 2405.15362; the rule of AMD's Primus",
)
