"""Chimera: two 1F1B pipelines that run against each other and fill each other's bubbles."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .slots import laid_in_slots
from .subset import first_microbatches


def chimera(n_devices: int, n_microbatches: int) -> Schedule:
    """Chimera: of p microbatches half go down and half go up; more of them unit after unit.

    Even microbatches go down from device 0, odd ones up from the last one; a device holds one stage
    for either, and so two stages' weights. A unit of p microbatches is laid in slots (see
    `laid_in_slots`).
    m = p: bubble p-2 forwards where F = BW, so (p-2)/(2m+p-2) of the time, and 2(p-2) where BW is
    2F, so (p-2)/(1.5m+p-2). Peak p shares in the middle, p/2+1 at the ends.

    >>> print(chimera(4, 4))
    chimera: 4 devices, 4 stages, 4 microbatches; microbatches take 2 routes
    device 0 | F0 F2 F1 BW1 F3 BW3 BW0 BW2
    device 1 | F0 F1 F2 F3 BW1 BW0 BW3 BW2
    device 2 | F1 F0 F3 F2 BW0 BW1 BW2 BW3
    device 3 | F1 F3 F0 BW0 F2 BW2 BW1 BW3

    Source: Li and Hoefler 2021, arXiv 2107.06925, section 3. What the sum of the gradients of the
    two copies of a stage takes at the end of a batch is a matter of `Costs.gradient_sum`.
    """
    if n_devices % 2:
        raise ValueError(f"chimera takes an even number of devices, not {n_devices}")
    down, up = tuple(range(n_devices)), tuple(range(n_devices))[::-1]
    unit = laid_in_slots((down, up), (0, 1) * (n_devices // 2))
    n_units = -(-n_microbatches // n_devices)
    schedule = Schedule(
        placement=down,
        orders=tuple(
            tuple(
                op._replace(microbatch=op.microbatch + number * n_devices)
                for number in range(n_units)
                for op in order
            )
            for order in unit
        ),
        n_microbatches=n_units * n_devices,
        name="chimera",
        routes=(up,),
        follows=(0, 1) * (n_units * n_devices // 2),
    )
    return first_microbatches(schedule, n_microbatches)


CHIMERA = Family(
    "chimera",
    chimera,
    placement="both ways",
    passes="F BW",
    bubble="(p-2)*F",
    peak="p",
    exact_when="F == B + W and m == p",
    source="Li and Hoefler 2021, arXiv 2107.06925, section 3",
)
