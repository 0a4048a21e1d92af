"""What devices may hold, and what passes take and give back: in pieces, and in bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ...base.numbers import Number, checked, common_ticks, exact
from ...bounds.memory import pieces
from ...engine.costs import Costs
from ...schedule.ir import Kind
from ..compiled import Ints

PASSES: tuple[Kind, ...] = ("F", "B", "W")
UNLIMITED = 2**60


def limits_and_changes(
    placement: tuple[int, ...],
    costs: Costs,
    shares: Number | Sequence[Number] | None,
    size: Number | Sequence[Number] | None,
    *,
    unlike: Sequence[int],
    how_many: int,
) -> tuple[Ints, Ints]:
    """Limits, shape `(2, n_devices)`, and changes, shape `(2, n_codes, n_unlike)`, of pieces and of
    bytes.

    unlike: the microbatches to tell apart. how_many: microbatches that may add up.
    """
    n_stages, n_devices = len(placement), max(placement) + 1
    limits = np.full((2, n_devices), UNLIMITED, np.int64)
    change = np.zeros((2, 3 * n_stages, len(unlike)), np.int64)
    change[0, 0::3], change[0, 2::3] = 1, -1
    if shares is not None:
        if not isinstance(shares, Sequence):
            checked(shares, "memory_limit")
        room = _per_device(shares, "memory_limit", n_devices)
        limits[0] = [pieces(share, n_stages // n_devices) for share in room]
    if size is not None:
        room = _per_device(size, "memory_bytes", n_devices)
        limits[1], change[1] = _in_byte_ticks(placement, costs, room, unlike, how_many=how_many)
    return limits, change


def _per_device(limit: Number | Sequence[Number], name: str, n_devices: int) -> list[Number]:
    room = list(limit) if isinstance(limit, Sequence) else [limit] * n_devices
    if len(room) != n_devices:
        raise ValueError(f"{name} has {len(room)} entries for {n_devices} devices")
    return [checked(size, f"{name} of device {device}") for device, size in enumerate(room)]


def _in_byte_ticks(
    placement: tuple[int, ...],
    costs: Costs,
    room: list[Number],
    unlike: Sequence[int],
    *,
    how_many: int,
) -> tuple[list[int], list[list[int]]]:
    """Bytes of each device that are not static, and the change at each pass code of each
    microbatch, in whole ticks.

    A change that is no whole number of ticks counts as more, so that no limit is crossed.
    """
    moves = [
        [exact(costs.change(kind, s)) * exact(costs.scale(i, s)) for i in unlike]
        for s in range(len(placement))
        for kind in PASSES
    ]
    sizes = {abs(move) for row in moves for move in row} | {0}
    ticks = common_ticks(sizes, how_many=4 * len(placement) * how_many)
    per_unit = ticks.per_unit or 1
    static = [Fraction(0)] * len(room)
    for stage, device in enumerate(placement):
        static[device] += exact(costs.static_bytes[stage])
    left = [math.floor((exact(size) - s) * per_unit) for size, s in zip(room, static, strict=True)]
    if ticks.per_unit:
        return left, [[math.ceil(move * per_unit) for move in row] for row in moves]
    return left, [[round(float(move)) for move in row] for row in moves]
