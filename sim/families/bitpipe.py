"""BitPipe: two V's of stages that run against each other."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .slots import laid_in_slots
from .subset import first_microbatches


def bitpipe(n_devices: int, n_microbatches: int) -> Schedule:
    """BitPipe: half of the microbatches go through a V of stages, half through its mirror image.

    Even microbatches begin on device 0, odd ones on the last one, and both turn at the other end; a
    device holds two stages of either V, so twice the weights. Laid in slots (see `laid_in_slots`).
    Bubble (p-2) max(F, B+W)/2 for m = p microbatches, and for any multiple of p where F = BW: then
    it is (p-2)/(4m+p-2) of the time, as published; peak p shares. Other numbers of microbatches
    play the order for the next multiple of p without those that are missing.

    >>> print(bitpipe(2, 2))
    bitpipe: 2 devices, 4 stages, 2 microbatches; microbatches take 2 routes
    device 0 | F0@0 F1@1 F1@2 F0@3 BW0@3 BW1@2 BW1@1 BW0@0
    device 1 | F1@0 F0@1 F0@2 F1@3 BW1@3 BW0@2 BW0@1 BW1@0

    Source: Wu et al. 2024, arXiv 2410.19367. Its sum of the gradients of the two copies of a stage,
    eager or not, is not part of the order.
    """
    if n_devices % 2:
        raise ValueError(f"bitpipe takes an even number of devices, not {n_devices}")
    full = -(-n_microbatches // n_devices) * n_devices
    down = (*range(n_devices), *reversed(range(n_devices)))
    up = tuple(n_devices - 1 - device for device in down)
    follows = (0, 1) * (full // 2)
    orders = tuple(map(tuple, laid_in_slots((down, up), follows)))
    schedule = Schedule(down, orders, full, name="bitpipe", routes=(up,), follows=follows)
    return first_microbatches(schedule, n_microbatches)


BITPIPE = Family(
    "bitpipe",
    bitpipe,
    placement="V both ways",
    passes="F BW",
    bubble="(p-2)*max(F, B+W)/2",
    peak="p",
    exact_when="m == p or (F == B + W and m % p == 0)",
    source="Wu et al. 2024, arXiv 2410.19367",
)
