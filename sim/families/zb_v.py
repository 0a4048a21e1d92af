"""ZB-V: two stages per device on a V, zero bubble at the memory of 1F1B; the handcrafted order."""

from __future__ import annotations

from itertools import count

from ..schedule.ir import Kind, Op, Schedule
from .family import Family
from .subset import first_microbatches


def zb_v(n_devices: int, n_microbatches: int) -> Schedule:
    """ZB-V, handcrafted: stage s lives on device s going down the V, and on 2p-1-s coming back.

    Bubble 0 on the longest stage at F=B=W, m >= 2p; peak p on every device. Fewer than 2p-1
    microbatches play the order for 2p-1 without those that are missing.

    >>> print(zb_v(2, 2))
    zb-v: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 B0@3 W0@3 F1@3 B1@3 W1@3 B0@0 W0@0 B1@0 W1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 B0@2 W0@2 B0@1 W0@1 B1@2 W1@2 B1@1 W1@1

    Source: Qi et al. 2023, arXiv 2401.10241, section 6.
    """
    full = max(2 * n_devices - 1, n_microbatches)
    schedule = Schedule(
        placement=(*range(n_devices), *reversed(range(n_devices))),
        orders=tuple(_order(device, n_devices, full) for device in range(n_devices)),
        n_microbatches=full,
        name="zb-v",
    )
    return first_microbatches(schedule, n_microbatches)


def _order(r: int, p: int, m: int) -> tuple[Op, ...]:
    stages = (r, 2 * p - 1 - r)
    following = {(kind, chunk): count() for kind in ("F", "B", "W") for chunk in (0, 1)}
    order: list[Op] = []

    def run(times: int, *passes: tuple[Kind, int]) -> None:
        for _ in range(times):
            for kind, chunk in passes:
                if (microbatch := next(following[kind, chunk])) < m:
                    order.append(Op(kind, stages[chunk], microbatch))

    f0, b0, w0 = _PASSES[0]
    f1, b1, w1 = _PASSES[1]
    run(2 * (p - r) - 1, f0)
    run(r, f1, f0)
    run(p - r, f1, b1, w1)
    run(m - p, f0, b0, w0, f1, b1, w1)  # F0 runs out first, and is then left out
    run(r, b0, b1)
    run(p - r, b0, w0)
    run(r, w1)
    run(r, w0)
    return tuple(order)


_PASSES: tuple[tuple[tuple[Kind, int], ...], ...] = tuple(
    (("F", chunk), ("B", chunk), ("W", chunk)) for chunk in (0, 1)
)

ZB_V = Family(
    "zb-v",
    zb_v,
    placement="V",
    passes="F B W",
    bubble="0",
    peak="min(p, m)",
    clock="longest_stage",
    exact_when="F == B == W and m >= 2*p",
    source="Qi et al. 2023, arXiv 2401.10241, section 6",
)
