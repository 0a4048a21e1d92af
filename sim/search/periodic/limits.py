"""What passes keep alive, and how much a device may hold, in whole units of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ...base.numbers import Number, checked, exact
from ...bounds.least_memory import least_bytes
from ...bounds.memory import pieces
from ...engine.costs import Costs
from ...schedule.ir import Op, Schedule

PerStage = tuple[int, ...]
PerDevice = tuple[int, ...]


def units_of(
    placement: PerStage,
    costs: Costs,
    shares: Number | Sequence[Number] | None,
    held: Number | Sequence[Number] | None,
) -> tuple[PerStage, PerStage, PerDevice | None]:
    """Units kept by F and signed change at B, per stage; and the limit per device, or None.

    shares: of a device's whole activation; or held: bytes, static ones included. One number or one
    per device. A unit is the activation of one stage, or a fraction of a byte that divides all.
    ValueError for a limit that not even one microbatch alone meets.
    """
    if shares is not None and held is not None:
        raise ValueError("give memory_limit (shares) or memory_bytes, not both")
    if held is not None:
        return _in_bytes(placement, costs, held)
    limit = None if shares is None else _in_shares(placement, shares)
    return (1,) * len(placement), (0,) * len(placement), limit


def _in_shares(placement: PerStage, shares: Number | Sequence[Number]) -> PerDevice:
    column = _per_device(shares, "memory_limit", max(placement) + 1)
    for device, limit in enumerate(column):
        if limit < 1:
            raise ValueError(
                f"memory_limit of device {device} is {float(limit):g} shares: one microbatch "
                "alone takes 1 share, so the smallest limit that can be met is 1"
            )
    return tuple(pieces(limit, placement.count(device)) for device, limit in enumerate(column))


def _in_bytes(
    placement: PerStage, costs: Costs, held: Number | Sequence[Number]
) -> tuple[PerStage, PerStage, PerDevice]:
    kept = [exact(row[0]) for row in costs.activation_bytes]
    change = [exact(row[0]) for row in costs.backward_bytes]
    for s in range(len(placement)):
        if kept[s] + change[s] < 0:
            raise ValueError(
                f"backward_bytes of stage {s} is {float(change[s]):g}: B cannot give back more "
                f"than the {float(kept[s]):g} bytes its F kept"
            )
    p = max(placement) + 1
    column = _per_device(held, "memory_bytes", p)
    split = tuple(
        tuple(Op("B", s, 0) for s, device in enumerate(placement) if device == d) for d in range(p)
    )
    for device in range(p):
        least = least_bytes(Schedule(placement, split, 1), costs, device)
        if exact(column[device]) < exact(least):
            raise ValueError(
                f"memory_bytes of device {device} is {float(column[device]):g}: one microbatch "
                f"alone takes {float(least):g} bytes there (static bytes included), the smallest "
                "limit that can be met"
            )
    scale = math.lcm(*(x.denominator for x in (*kept, *change)))
    static = [Fraction(0)] * p
    for s, device in enumerate(placement):
        static[device] += exact(costs.static_bytes[s])
    return (
        tuple(int(x * scale) for x in kept),
        tuple(int(x * scale) for x in change),
        tuple(math.floor((exact(column[d]) - static[d]) * scale) for d in range(p)),
    )


def _per_device(value: Number | Sequence[Number], name: str, p: int) -> list[Number]:
    column = list(value) if isinstance(value, Sequence) else [value] * p
    if len(column) != p:
        raise ValueError(
            f"{name} has {len(column)} entries for {p} devices: give one number or {p}"
        )
    return [checked(entry, name) for entry in column]
