"""Where to recompute: in one step with the backward, or while a device waits anyway.

>>> from sim import FAMILIES
>>> print(recomputed(FAMILIES["1f1b"](2, 2), [0], place="in waits"))
1f1b: 2 devices, 2 stages, 2 microbatches; stage 0 recomputes activations
device 0 | F0 F1 R0 BW0 R1 BW1
device 1 | F0 BW0 F1 BW1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, get_args

from ..base.numbers import exact
from ..schedule.ir import Op, Schedule
from ..schedule.offload import computing
from ..schedule.recompute import rebuilt, with_recompute
from .costs import Costs
from .device_steps import device_steps
from .simulate import simulate
from .trace import in_time

Place = Literal["late", "in waits"]


def recomputed(
    schedule: Schedule,
    stages: Sequence[int] | None = None,
    *,
    place: Place = "late",
    costs: Costs | None = None,
) -> Schedule:
    """`schedule` in which `stages` (all, if not given) recompute all that has a backward.

    place: "late" makes R and its backward one step, as checkpointing inside a backward does: R
        waits for the gradient too. "in waits" puts R into the latest wait of its device between F
        and that backward which has room for it under `costs`; where none has, or without `costs`,
        right before the step with the backward.

    In waits, R makes no schedule longer by more than the R work that found no room: a path through
    passes that loses a wait of w and gains R's of r gets longer by r - w at most.

    Chen et al. 2016 (arXiv 1604.06174); R as a pass of its own that hides in waits: AdaPipe (Sun et
    al., ASPLOS 2024), Mario (Liu et al., PPoPP 2025).
    """
    if place not in get_args(Place):
        raise ValueError(f"place is {place!r}: use one of {', '.join(get_args(Place))}")
    before = rebuilt(schedule, stages)
    if place == "in waits" and costs is not None:
        before = _roomy(schedule, costs, before)
    return with_recompute(schedule, before, fused=place == "late")


def _roomy(schedule: Schedule, costs: Costs, before: Mapping[Op, Op]) -> dict[Op, Op]:
    """For each R the first pass of the step behind the latest wait that has room for it, or what
    it is `before` already."""
    trace = simulate(schedule, costs)
    lines = device_steps(trace)
    found: dict[Op, Op] = {}
    again = {op: r for r, op in before.items()}
    for device in range(schedule.n_devices):
        order = computing(schedule, device)
        place = {op: number for number, step in enumerate(order) for op in step}
        line = lines[device]
        ends = [line.start[0], *line.end[:-1]] if order else []
        room = [
            exact(in_time(trace, start - end)) for start, end in zip(line.start, ends, strict=True)
        ]
        for op in (op for step in order for op in step if op in again):
            r = again[op]
            time = exact(costs.duration((r,)))
            first = place[op._replace(kind="F")] + 1
            spot = next(
                (n for n in range(place[op], first - 1, -1) if Fraction(0) < time <= room[n]),
                place[op],
            )
            room[spot] -= min(time, room[spot])
            found[r] = order[spot][0] if spot != place[op] else op
    return found
