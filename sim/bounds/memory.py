"""What activations take in either measure of memory, pieces or bytes, and how much there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..base.numbers import Number, exact
from ..engine.costs import Costs
from ..schedule.ir import Schedule
from .workload import Time


class DeviceMemory(NamedTuple):
    """What one device's activations take in one measure of memory (pieces, or bytes).

    limit: how much may be live. at_forward, at_backward: signed change of each stage; the rest is
    given back at the end of W (or BW). at_recomputed: what F leaves where R takes the rest.
    """

    limit: Time
    at_forward: dict[int, Time]
    at_backward: dict[int, Time]
    at_recomputed: dict[int, Time]

    def holds(self, stage: int) -> Time:
        """How many microbatches of a stage fit between F and B, if nothing else is alive."""
        kept = self.at_forward[stage]
        return self.limit // kept if kept > 0 else math.inf


def memories(
    schedule: Schedule,
    costs: Costs,
    device: int,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
    *,
    recomputing: bool = False,
) -> list[DeviceMemory]:
    """The memory of one device: in pieces if `shares` limits it, in bytes if `size` does.

    shares: of a device's whole activation. size: bytes, static ones included, one number or one per
    device. recomputing: whether there may be R's. Then what is live is no whole number of pieces,
    but one of parts of them, as F leaves `Costs.recompute_keeps` of one.
    """
    stages = schedule.stages_of[device]
    found = []
    if shares is not None:
        keeps = exact(costs.recompute_keeps)
        parts = keeps.denominator if recomputing else 1
        found.append(
            DeviceMemory(
                Fraction(pieces(shares, len(stages) * parts), parts) if parts > 1
                else pieces(shares, len(stages)),
                dict.fromkeys(stages, 1),
                dict.fromkeys(stages, 0),
                dict.fromkeys(stages, keeps),
            )
        )  # fmt: skip
    if size is not None:
        mine = size[device] if isinstance(size, Sequence) else size
        static = sum(exact(costs.static_bytes[s]) for s in stages)
        split = {op.stage for op in schedule.orders[device] if op.kind == "B"}
        found.append(
            DeviceMemory(
                exact(mine) - static,
                {s: exact(costs.change("F", s)) for s in stages},
                {s: exact(costs.change("B", s)) if s in split else 0 for s in stages},
                {s: exact(costs.change("F", s)) - exact(costs.rebuilt_bytes(s)) for s in stages},
            )
        )
    return found


def pieces(shares: Number, n_stages: int) -> int:
    """How many activations of one stage make so many shares of a device with `n_stages`.

    A third as a float is a little less than a third; it counts as the whole number it stands for.

    >>> pieces(4 / 3, 3), pieces(1.34, 3), pieces(1.33, 3)
    (4, 4, 3)
    """
    whole = math.floor(exact(shares) * n_stages)
    return whole + (isinstance(shares, float) and (whole + 1) / n_stages == shares)
