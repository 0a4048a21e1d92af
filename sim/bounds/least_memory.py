"""The memory that no order of the passes can do without: that of one microbatch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ..base.numbers import Number, checked, exact, plain
from ..engine.costs import Costs
from ..engine.costs_fit import first_alike
from ..engine.held import left_by
from ..schedule.ir import Kind, Op, Schedule


def check_limits(
    schedule: Schedule,
    costs: Costs,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
) -> None:
    """ValueError with the smallest limit that can be met, if this one cannot.

    shares: live activations a device may hold. size: bytes, static ones included, one number or one
    per device. None is unlimited.
    """
    if shares is not None and checked(shares, "memory_limit") < least_shares(schedule):
        raise ValueError(
            f"nothing fits into a memory limit of {shares} shares: the smallest that can be met is "
            "1, one microbatch at a time"
        )
    if size is None:
        return
    n = schedule.n_devices
    limits = list(size) if isinstance(size, Sequence) else [size] * n
    if len(limits) != n:
        raise ValueError(f"memory_bytes has {len(limits)} entries for {n} devices")
    needed = [least_bytes(schedule, costs, device) for device in range(n)]
    # A limit of 0.333... that some schedule was seen to need is meant as the third it stands for.
    short = [
        d
        for d in range(n)
        if needed[d] > checked(limits[d], f"memory_bytes of device {d}")
        and not (isinstance(needed[d], Fraction) and math.isclose(needed[d], limits[d]))
    ]
    if short:
        worst = max(short, key=lambda d: needed[d])
        raise ValueError(
            f"nothing fits into a memory limit of {limits[worst]} bytes: device {worst} holds "
            f"{needed[worst]} even with one microbatch at a time, so that is the smallest that can "
            "be met"
        )


def least_shares(schedule: Schedule) -> int:
    """The live activations without which no order of these passes runs, in shares; 0: not known.

    When the last of a device's stages runs backward, all of them have run forward, so its whole
    share of that microbatch is there: one share is the least in any order in which all stages have
    a backward and none is recomputed or offloaded.
    """
    return 0 if schedule.trains or schedule.variants else 1


def least_bytes(schedule: Schedule, costs: Costs, device: int) -> Number:
    """The most bytes a device holds, static ones included, if microbatches come one by one.

    All forwards, then stage by stage backwards, W right after its B: on an unsliced schedule there
    is no other order, as the stages wait for each other. With slices of several stages there is, so
    only what they all begin with counts.
    """
    stages = schedule.stages_of[device]
    alike = first_alike(costs, schedule)
    split = {(op.stage, alike[op.microbatch]) for op in schedule.orders[device] if op.kind == "B"}
    slices = range(schedule.n_slices)
    back = [(s, part) for s in reversed(stages) for part in reversed(slices)]
    if len(slices) > 1 and len(stages) > 1:
        back = back[:1]

    def left(kind: Kind, stage: int, part: int, microbatch: int) -> Fraction:
        return exact(left_by(schedule, costs, Op(kind, stage, microbatch, part)).size)

    static = sum((exact(costs.static_bytes[s]) for s in stages), Fraction(0))
    most = static
    if schedule.variants:  # then all that is known is that each pass has what it takes itself
        takes = {left_by(schedule, costs, op).size for op in schedule.orders[device]}
        return plain(static + max(map(exact, takes), default=Fraction(0)))
    for i in {*alike}:
        live = static + sum(left("F", s, part, i) for s in stages for part in slices)
        most = max(most, live)
        for s, part in back:
            rises = (s, i) in split and schedule.backward[s] == "B W"
            most = max(most, live + (left("B", s, part, i) if rises else 0))
            live -= left("F", s, part, i)
    return plain(most)
