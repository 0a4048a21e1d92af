"""TeraPipe: GPipe over slices of sequences."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .seq1f1b import units


def terapipe(n_devices: int, n_microbatches: int, *, slices: int = 2) -> Schedule:
    """TeraPipe: GPipe over k slices of every sequence; the backwards run in reverse.

    Slices attend to earlier ones, so their backwards run from the last one to the first, and here
    those of the last microbatch first. Bubble (p-1)(F+B+W)/k on either clock when slices cost the
    same; peak m on every device, as in GPipe.

    >>> print(terapipe(2, 2, slices=2))
    terapipe: 2 devices, 2 stages, 2 microbatches, 2 slices
    device 0 | F0 F0.1 F1 F1.1 BW1.1 BW1 BW0.1 BW0
    device 1 | F0 F0.1 F1 F1.1 BW1.1 BW1 BW0.1 BW0

    Source: Li et al. 2021, arXiv 2102.07988, section 3.2. The paper cuts slices of unequal length,
    so that all take the same time; here they are as long as the costs say.
    """
    m, k = n_microbatches, slices
    orders = []
    for stage in range(n_devices):
        backwards = [op._replace(kind="BW") for op in reversed(units("F", stage, m, k))]
        orders.append((*units("F", stage, m, k), *backwards))
    return Schedule(tuple(range(n_devices)), tuple(orders), m, k, name="terapipe")


TERAPIPE = Family(
    "terapipe",
    terapipe,
    placement="straight",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/k",
    peak="m",
    options=("slices",),
    source="Li et al. 2021, arXiv 2102.07988, section 3.2",
)
