"""What each lever makes of one unit, a microbatch on a stage: time, copies, and memory x time."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..base.numbers import exact
from ..engine.costs import Costs
from ..schedule.ir import Lever, Op
from .memory import DeviceMemory
from .workload import Time, Workload


class Unit(NamedTuple):
    """A way to treat a unit.

    again: time of R, which its device computes on top. out, back: time of O and of L, which copy
    queues take.
    """

    lever: Lever | None
    again: Time
    out: Time
    back: Time


def ways(work: Workload, costs: Costs, stage: int, levers: Collection[Lever]) -> list[Unit]:
    """To keep the activations of a stage, and what each of `levers` does, in ticks of `work`."""
    per_unit = work.ticks.per_unit

    def ticks(kind: Lever | str) -> Time:
        time = costs.duration((Op(kind, stage, 0),))  # type: ignore[arg-type]
        return exact(time) * per_unit if per_unit else float(time)

    found = [Unit(None, 0, 0, 0)]
    if "R" in levers:
        found.append(Unit("R", ticks("R"), 0, 0))
    if "O" in levers:
        found.append(Unit("O", 0, ticks("O"), ticks("L")))
    return found


def kept(memory: DeviceMemory, stage: int, unit: Unit) -> Time:
    """What stays of its activation from F until R, L or B."""
    if unit.lever == "O":
        return 0
    return (memory.at_recomputed if unit.lever == "R" else memory.at_forward)[stage]


def unit_area(work: Workload, memory: DeviceMemory, stage: int, unit: Unit) -> Time:
    """Memory x time that one microbatch needs on a stage at least, treated that way.

    Its activation lives at least for the shortest way from F to the end of W. Of one that is
    recomputed a part does, and the rest from the start of R on, which ends before B begins. One
    that is offloaded is there for F and O, which follow each other, and again for L, B and W. What
    B takes or gives back on top is the same for all.
    """
    size, change = memory.at_forward[stage], memory.at_backward[stage]
    back, weight = work.backward(stage), work.weight(stage)
    at_end = change * (weight + (back if change > 0 else 0))
    if unit.lever == "O":
        return size * (work.forward(stage) + unit.out + unit.back + back + weight) + at_end
    whole = work.life[stage] + weight
    rest = unit.again + back + weight
    stays = kept(memory, stage, unit)
    return stays * whole + (size - stays) * rest + at_end
