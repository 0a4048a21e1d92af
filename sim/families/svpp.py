"""SVPP: interleaved slices with the shortest warm-up, which holds the fewest activations."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .seq1f1b import interleaved_slices


def svpp(n_devices: int, n_microbatches: int, *, slices: int = 2, v: int = 2) -> Schedule:
    """SVPP: k slices of a sequence visit v stages per device, in blocks of at least p slices.

    Device r warms up with (v-1) max(p, k) + k-1 + (p-r-1) forwards: one per device after it, where
    the interleaved Seq1F1B takes two. Bubble (p-1)(F+B+W)/(v k) on either clock when slices cost
    the same; peak (v max(p, k) + min(p, k) - 1)/(v k). A block holds whole microbatches, so where k
    divides no p > k it is longer than p, and the peak higher. With v=1 it is Seq1F1B.

    >>> print(svpp(2, 1, slices=2, v=2))
    svpp: 2 devices, 4 stages, 1 microbatch, 2 slices
    device 0 | F0@0 F0.1@0 F0@2 F0.1@2 BW0.1@2 BW0@2 BW0.1@0 BW0@0
    device 1 | F0@1 F0.1@1 F0@3 F0.1@3 BW0.1@3 BW0@3 BW0.1@1 BW0@1

    Source: Sun et al. 2025 (MEPipe), EuroSys: sequence virtual pipeline parallelism. Its weight
    gradients in pieces are not part of this order.
    """
    p, k = n_devices, slices
    return interleaved_slices("svpp", p, n_microbatches, k, v=v, per_block=-(-p // k), ahead=1)


SVPP = Family(
    "svpp",
    svpp,
    placement="loop",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/(v*k)",
    peak="min((v*max(p, k) + min(p, k) - 1)/(v*k), m)",
    exact_when="k >= p or (p % k == 0 and m*k % p == 0)",
    options=("slices", "v"),
    source="Sun et al. 2025 (MEPipe), EuroSys",
)
