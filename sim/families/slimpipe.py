"""SlimPipe: so many slices that a device keeps little more than one microbatch."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .seq1f1b import interleaved_slices


def slimpipe(
    n_devices: int, n_microbatches: int, *, slices: int | None = None, v: int = 2
) -> Schedule:
    """SlimPipe: one sequence of k slices, a multiple of p, visits v stages per device at a time.

    Device r warms up with (v-1)k + (k-1) + 2(p-r-1) forwards. Bubble (p-1)(F+B+W)/(v k) on either
    clock when slices cost the same, peak 1 + 2(p-1)/(v k) shares: with more
    slices both approach what one device alone has. `slices` is p if not given.

    >>> print(slimpipe(2, 1, v=1))
    slimpipe: 2 devices, 2 stages, 1 microbatch, 2 slices
    device 0 | F0 F0.1 BW0.1 BW0
    device 1 | F0 F0.1 BW0.1 BW0

    Source: Li et al. 2025, arXiv 2504.14519. There equal slices are made equal work by
    attention that other devices compute (context exchange); here they take what the costs say.
    """
    k = n_devices if slices is None else slices
    if k % n_devices:
        works = -(-k // n_devices) * n_devices
        raise ValueError(
            f"slimpipe: slices is {k} on {n_devices} devices: it must be a multiple of the number "
            f"of devices, e.g. {works}"
        )
    return interleaved_slices("slimpipe", n_devices, n_microbatches, k, v=v, per_block=1, ahead=2)


SLIMPIPE = Family(
    "slimpipe",
    slimpipe,
    placement="loop",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/(v*k)",
    peak="min(1 + 2*(p-1)/(v*k), m)",
    options=("slices", "v"),
    source="Li et al. 2025 (SlimPipe), arXiv 2504.14519",
)
