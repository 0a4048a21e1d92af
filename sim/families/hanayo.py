"""Hanayo: stages folded into waves, so that activations turn round instead of coming back."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .slots import laid_in_slots
from .subset import first_microbatches


def hanayo(n_devices: int, n_microbatches: int, *, v: int = 4) -> Schedule:
    """Hanayo: W waves; the stages pass all devices up and down again W times, so v = 2W of each.

    Laid in slots (see `laid_in_slots`). Bubble 2(p-1) max(F, B+W)/v for m = p microbatches, and for
    any multiple of p where F = BW; peak p shares. Other numbers of microbatches play the order for
    the next multiple of p without those that are missing.

    At m = p and BW = 2F that is (2p-2)/(3pW + 2p-2) of the time. The paper's (2p-2)/(3pW + p-1) is
    larger, by less the more waves there are: .400 and ours .333 for p = 4 and W = 1, .118 and .111
    for W = 4.

    >>> print(hanayo(2, 2, v=2))
    hanayo: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@3 BW0@3 F1@3 BW1@3 BW0@0 BW1@0
    device 1 | F0@1 F0@2 F1@1 F1@2 BW0@2 BW0@1 BW1@2 BW1@1

    Source: Liu et al. 2023, arXiv 2308.15762.
    """
    if v % 2:
        raise ValueError(
            f"hanayo: v is {v}, the stages per device: it must be even, because a wave "
            f"passes each device twice, e.g. {v + 1}"
        )
    full = -(-n_microbatches // n_devices) * n_devices
    waves = (*range(n_devices), *reversed(range(n_devices))) * (v // 2)
    orders = tuple(map(tuple, laid_in_slots((waves,), (0,) * full)))
    return first_microbatches(Schedule(waves, orders, full, name="hanayo"), n_microbatches)


HANAYO = Family(
    "hanayo",
    hanayo,
    placement="wave",
    passes="F BW",
    bubble="2*(p-1)*max(F, B+W)/v",
    peak="p",
    exact_when="m == p or (F == B + W and m % p == 0)",
    options=("v",),
    source="Liu et al. 2023, arXiv 2308.15762",
)
