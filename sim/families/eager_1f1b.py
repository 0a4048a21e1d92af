"""Eager 1F1B: 1F1B with twice the warm-up, so that messages travel while devices compute."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .one_f_one_b import alternating


def eager_1f1b(n_devices: int, n_microbatches: int) -> Schedule:
    """Eager 1F1B: device r warms up with 2(p-r-1) forwards, then alternates, then drains.

    Bubble (p-1)(F+B+W) on either clock, as 1F1B: nothing is gained where sending is free, but a
    latency up to the time of a pass is hidden. Peak min(2p-1, m) on device 0.

    >>> print(eager_1f1b(3, 5))
    eager-1f1b: 3 devices, 3 stages, 5 microbatches
    device 0 | F0 F1 F2 F3 F4 BW0 BW1 BW2 BW3 BW4
    device 1 | F0 F1 F2 BW0 F3 BW1 F4 BW2 BW3 BW4
    device 2 | F0 BW0 F1 BW1 F2 BW2 F3 BW3 F4 BW4

    Source: Zhuang et al. 2023 (AlpaComm), arXiv 2211.05322, section 4.
    """
    return Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            alternating(stage, n_microbatches, 2 * (n_devices - stage - 1))
            for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="eager-1f1b",
    )


EAGER_1F1B = Family(
    "eager-1f1b",
    eager_1f1b,
    placement="straight",
    passes="F BW",
    bubble="(p-1)*(F+B+W)",
    peak="min(2*p-1, m)",
    source="Zhuang et al. 2023, arXiv 2211.05322, section 4",
)
