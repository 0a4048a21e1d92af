"""1F1B: one forward, one backward in turn, so that at most p microbatches are alive."""

from __future__ import annotations

from ..schedule.ir import Op, Schedule
from .family import Family


def one_f_one_b(n_devices: int, n_microbatches: int) -> Schedule:
    """1F1B: device r warms up with p-r-1 forwards, then alternates, then drains.

    Bubble (p-1)(F+B+W) on either clock; peak min(p, m) on device 0, one less on each next device.

    >>> print(one_f_one_b(3, 4))
    1f1b: 3 devices, 3 stages, 4 microbatches
    device 0 | F0 F1 F2 BW0 F3 BW1 BW2 BW3
    device 1 | F0 F1 BW0 F2 BW1 F3 BW2 BW3
    device 2 | F0 BW0 F1 BW1 F2 BW2 F3 BW3

    Source: PipeDream-flush, Narayanan et al. 2021, arXiv 2006.09503; Megatron-LM, 2104.04473.
    """
    return Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            alternating(stage, n_microbatches, n_devices - stage - 1) for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="1f1b",
    )


def alternating(stage: int, m: int, warm_up: int) -> tuple[Op, ...]:
    """`warm_up` forwards (at most all m), then one forward and one backward in turn, then drain."""
    warm_up = min(warm_up, m)
    order = [Op("F", stage, i) for i in range(warm_up)]
    for i in range(m):
        if warm_up + i < m:
            order.append(Op("F", stage, warm_up + i))
        order.append(Op("BW", stage, i))
    return tuple(order)


ONE_F_ONE_B = Family(
    "1f1b",
    one_f_one_b,
    placement="straight",
    passes="F BW",
    bubble="(p-1)*(F+B+W)",
    peak="min(p, m)",
    source="Narayanan et al. 2021, arXiv 2006.09503",
)
