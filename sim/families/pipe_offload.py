"""PO-H and PO-F: interleaving whose activations wait on the host: the longest-lived half, or all.

O runs beside the pass after its forward, L beside the one before its backward; an activation that
is needed again sooner stays. Where a copy takes no longer than the shortest pass, nobody waits.

Source of both: Wan et al. 2025 (PipeOffload), arXiv 2503.01328. There O and L take turns on one
stream, so that neighbours can share a link; here each has a queue of its own.
"""

from __future__ import annotations

from ..schedule.ir import Schedule
from ..schedule.offload import reloads, with_copies
from .family import Family
from .gis import gis, gis_h


def po_h(n_devices: int, n_microbatches: int, *, v: int = 2) -> Schedule:
    """PO-H: GIS-H that offloads the first half of each device's stages, which keep theirs longest.

    Bubble as GIS-H, with groups of g = ceil(p/2). Peak (ceil(v/2) g + 2)/v shares: a group on each
    stage that keeps its own, and two more. For v=2 and even p that is p/4 + 1,
    where the paper has about (v+2)/(8v) p, i.e. p/4; for more stages the paper's is lower: it is
    what those that stay come to on average, as they rise and fall with the groups. One stage per
    device has no half: it is GIS-H.

    >>> print(po_h(2, 2))
    po-h: 2 devices, 4 stages, 2 microbatches; stages 0-1 offload activations to host memory
    device 0 | F0@0 O0@0 F0@2 F1@0 O1@0 B0@2 W0@2 L0@0 F1@2 B0@0 W0@0 B1@2 L1@0 W1@2 B1@0 W1@0
    device 1 | F0@1 O0@1 F0@3 B0@3 W0@3 L0@1 F1@1 O1@1 B0@1 W0@1 F1@3 B1@3 L1@1 W1@3 B1@1 W1@1
    """
    halves = range(n_devices * (v // 2))
    plain = gis_h(n_devices, n_microbatches, v=v)
    return with_copies(plain, reloads(plain, halves), name="po-h")


def po_f(n_devices: int, n_microbatches: int, *, v: int = 2) -> Schedule:
    """PO-F: GIS that offloads everything, and keeps three activations of one stage on a device.

    Bubble (p-1)(F+B)/v as GIS. Peak 3/v shares where a copy takes as long as the shortest pass: of
    the one that runs, one on its way out and one on its way in; 2/v where copies take no time. (The
    paper has about four, with one stream for both ways.)

    >>> print(po_f(2, 2))
    po-f: 2 devices, 4 stages, 2 microbatches; stages 0-2 offload activations to host memory
    device 0 | F0@0 O0@0 F1@0 O1@0 F0@2 F1@2 O1@2 B0@2 L1@2 W0@2 B1@2 L0@0 W1@2 B0@0 L1@0 W0@0 \
B1@0 W1@0
    device 1 | F0@1 O0@1 F1@1 O1@1 F0@3 B0@3 W0@3 F1@3 B1@3 L0@1 W1@3 B0@1 L1@1 W0@1 B1@1 W1@1
    """
    plain = gis(n_devices, n_microbatches, v=v)
    return with_copies(plain, reloads(plain), name="po-f")


_SOURCE = "Wan et al. 2025 (PipeOffload), arXiv 2503.01328"
PO_H = Family(
    "po-h",
    po_h,
    placement="loop",
    passes="F B W O L",
    bubble="(p-1)*(F+B)/v + (p-(p+1)//2)*(v-1)*(F+B-W)/v",
    peak="((v-v//2)*((p+1)//2) + 2)/v",
    exact_when="F == B == W and v > 1 and p >= 4 and m % ((p+1)//2) == 0 and m >= p",
    options=("v",),
    source=_SOURCE,
)
PO_F = Family(
    "po-f",
    po_f,
    placement="loop",
    passes="F B W O L",
    bubble="(p-1)*(F+B)/v",
    peak="3/v",
    exact_when="m % p == 0 and p > 2",
    options=("v",),
    source=_SOURCE,
)
