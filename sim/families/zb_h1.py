"""ZB-H1: 1F1B with the weight gradients moved into the bubbles, at the memory of 1F1B."""

from __future__ import annotations

from ..schedule.ir import Op, Schedule
from .family import Family


def zb_h1(n_devices: int, n_microbatches: int) -> Schedule:
    """ZB-H1: device r warms up with p-r forwards and runs every W r microbatches after its B.

    Bubble (p-1)(F+B-W) at F=B=W, m >= 2p, on either clock; peak p on every device.

    >>> print(zb_h1(3, 4))
    zb-h1: 3 devices, 3 stages, 4 microbatches
    device 0 | F0 F1 F2 B0 W0 F3 B1 W1 B2 W2 B3 W3
    device 1 | F0 F1 B0 F2 B1 W0 F3 B2 W1 B3 W2 W3
    device 2 | F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 W2 W3

    Source: Qi et al. 2023, arXiv 2401.10241, section 2.3.
    """
    return Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            delayed_weights(stage, n_microbatches, warm_up=n_devices - stage, delay=stage)
            for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="zb-h1",
    )


def delayed_weights(stage: int, m: int, *, warm_up: int, delay: int) -> tuple[Op, ...]:
    """`warm_up` forwards, then for every microbatch B, the W of `delay` microbatches before, and F
    while some are left; the W's that remain at the end. Both handcrafted ZB schedules are this."""
    order = [Op("F", stage, i) for i in range(min(warm_up, m))]
    for i in range(m):
        order.append(Op("B", stage, i))
        if i >= delay:
            order.append(Op("W", stage, i - delay))
        if warm_up + i < m:
            order.append(Op("F", stage, warm_up + i))
    return (*order, *(Op("W", stage, i) for i in range(max(m - delay, 0), m)))


ZB_H1 = Family(
    "zb-h1",
    zb_h1,
    placement="straight",
    passes="F B W",
    bubble="(p-1)*(F+B-W)",
    peak="min(p, m)",
    exact_when="F == B == W and m >= 2*p",
    source="Qi et al. 2023, arXiv 2401.10241, section 2.3",
)
