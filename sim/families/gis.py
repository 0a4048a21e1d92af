"""GIS and GIS-H: interleaving with split backwards and the warm-up cut to what it must be."""

from __future__ import annotations

from ..schedule.ir import Op, Schedule
from .family import Family
from .interleaved import alternating, grouped
from .subset import first_microbatches


def gis(n_devices: int, n_microbatches: int, *, v: int = 2) -> Schedule:
    """GIS: groups of p microbatches visit v stages per device; every W right after its B.

    As B leaves without waiting for W, p-r-1 forwards ahead are enough where interleaved 1F1B takes
    twice as many. Bubble (p-1)(F+B)/v on either clock; peak (p(v-1) + p)/v = p shares.

    >>> print(gis(2, 2))
    gis: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@2 F1@2 B0@2 W0@2 B1@2 W1@2 B0@0 W0@0 B1@0 W1@0
    device 1 | F0@1 F1@1 F0@3 B0@3 W0@3 F1@3 B1@3 W1@3 B0@1 W0@1 B1@1 W1@1

    Source: Wan et al. 2025 (PipeOffload), arXiv 2503.01328. One stage per device is 1F1B, split.
    """
    return _grouped_interleaving(n_devices, n_microbatches, v, n_devices, "gis")


def gis_h(n_devices: int, n_microbatches: int, *, v: int = 2) -> Schedule:
    """GIS-H: GIS in groups of half as many microbatches, at close to half the memory.

    With g = ceil(p/2): bubble (p-1)(F+B)/v + (p-g)(v-1)(F+B-W)/v on either clock at F=B=W; peak
    (g(v-1) + p)/v shares.

    >>> print(gis_h(2, 2))
    gis-h: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F0@2 F1@0 B0@2 W0@2 F1@2 B0@0 W0@0 B1@2 W1@2 B1@0 W1@0
    device 1 | F0@1 F0@3 B0@3 W0@3 F1@1 B0@1 W0@1 F1@3 B1@3 W1@3 B1@1 W1@1

    Source: Wan et al. 2025 (PipeOffload), arXiv 2503.01328.
    """
    return _grouped_interleaving(n_devices, n_microbatches, v, (n_devices + 1) // 2, "gis-h")


def _grouped_interleaving(p: int, m: int, v: int, size: int, name: str) -> Schedule:
    full = -(-m // size) * size
    orders = []
    for r in range(p):
        forwards = grouped("F", range(r, p * v, p), size, full)
        backwards = grouped("B", range(r, p * v, p)[::-1], size, full)
        order = alternating(forwards, backwards, (v - 1) * size + p - r - 1)
        orders.append(
            tuple(op for b in order for op in ((b, Op("W", *b[1:])) if b.kind == "B" else (b,)))
        )
    schedule = Schedule(
        placement=tuple(range(p)) * v, orders=tuple(orders), n_microbatches=full, name=name
    )
    return first_microbatches(schedule, m)


GIS = Family(
    "gis",
    gis,
    placement="loop",
    passes="F B W",
    bubble="(p-1)*(F+B)/v",
    peak="min(p, m)",
    exact_when="m % p == 0",
    options=("v",),
    source="Wan et al. 2025, arXiv 2503.01328",
)
GIS_H = Family(
    "gis-h",
    gis_h,
    placement="loop",
    passes="F B W",
    bubble="(p-1)*(F+B)/v + (p-(p+1)//2)*(v-1)*(F+B-W)/v",
    peak="min(((p+1)//2*(v-1) + p)/v, m)",
    exact_when="F == B == W and m % ((p+1)//2) == 0",
    options=("v",),
    source="Wan et al. 2025, arXiv 2503.01328",
)
