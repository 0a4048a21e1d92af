"""GPipe: all forwards, then all backwards; the simplest schedule and the hungriest."""

from __future__ import annotations

from ..schedule.ir import Op, Schedule
from .family import Family


def gpipe(n_devices: int, n_microbatches: int) -> Schedule:
    """GPipe: every device forwards all microbatches, then runs all fused backwards.

    Bubble (p-1)(F+B+W) on either clock; peak m on every device.

    >>> print(gpipe(2, 3))
    gpipe: 2 devices, 2 stages, 3 microbatches
    device 0 | F0 F1 F2 BW0 BW1 BW2
    device 1 | F0 F1 F2 BW0 BW1 BW2

    Source: Huang et al. 2019, arXiv 1811.06965. The paper draws the backwards last in, first out;
    here they run first in, first out: same bubble, and all families agree on microbatch order.
    """
    return Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            tuple(Op("F", stage, i) for i in range(n_microbatches))
            + tuple(Op("BW", stage, i) for i in range(n_microbatches))
            for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="gpipe",
    )


GPIPE = Family(
    "gpipe",
    gpipe,
    placement="straight",
    passes="F BW",
    bubble="(p-1)*(F+B+W)",
    peak="m",
    source="Huang et al. 2019, arXiv 1811.06965",
)
