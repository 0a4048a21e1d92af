"""ZB-H2: enough forwards in flight that no device ever waits between its first and last pass."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .zb_h1 import delayed_weights


def zb_h2(n_devices: int, n_microbatches: int) -> Schedule:
    """ZB-H2: device r warms up with 2(p-r)-1 forwards and runs every W 2r microbatches after its B.

    Bubble (p-1)(F+B-2W) on the longest stage at F=B=W, m >= 2p: none. The makespan still shows the
    (p-1)F by which devices start one after another. Peak 2p-1 on every device.

    >>> print(zb_h2(2, 4))
    zb-h2: 2 devices, 2 stages, 4 microbatches
    device 0 | F0 F1 F2 B0 W0 F3 B1 W1 B2 W2 B3 W3
    device 1 | F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 W2 W3

    Source: Qi et al. 2023, arXiv 2401.10241, section 2.3.
    """
    return Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            delayed_weights(
                stage, n_microbatches, warm_up=2 * (n_devices - stage) - 1, delay=2 * stage
            )
            for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="zb-h2",
    )


ZB_H2 = Family(
    "zb-h2",
    zb_h2,
    placement="straight",
    passes="F B W",
    bubble="(p-1)*(F+B-2*W)",
    peak="min(2*p-1, m)",
    clock="longest_stage",
    exact_when="F == B == W and m >= 2*p",
    source="Qi et al. 2023, arXiv 2401.10241, section 2.3",
)
