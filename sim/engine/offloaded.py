"""What to offload, and when to load it back: as late as it can be without anybody waiting for it.

>>> from sim import FAMILIES
>>> print(offloaded(FAMILIES["1f1b"](2, 4), [0]))
1f1b: 2 devices, 2 stages, 4 microbatches; stage 0 offloads activations to host memory
device 0 | F0 F1 O1 BW0 L1 F2 O2 BW1 L2 F3 BW2 BW3
device 1 | F0 BW0 F1 BW1 F2 BW2 F3 BW3
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from ..base.numbers import exact
from ..schedule.ir import Op, Schedule
from ..schedule.offload import candidates, computing, reloads, with_copies
from ..schedule.rewrite import checked_stages
from .costs import Costs
from .device_steps import device_steps
from .simulate import simulate
from .trace import in_time


def offloaded(
    schedule: Schedule,
    stages: Sequence[int] | None = None,
    *,
    costs: Costs | None = None,
    stores: Sequence[int | None] = (),
) -> Schedule:
    """`schedule` in which `stages` (all, if not given) offload their activations.

    O stands right after its F. Without `costs`, L stands before the step before its backward; with
    them, where it has just the time it takes, one L after the other, if `schedule` keeps its times.
    What is needed again too soon for O and L to fit in between stays.
    stores: the device that keeps what each device offloads (BPipe, Kim et al. 2023, ICML), or None
        for the host, shape `(n_devices,)`; the host for all if not given.

    Raises ValueError for costs in which a microbatch has no length: copies that take no time have
    no place among passes that take none.

    The slots are those of PipeOffload (Wan et al. 2025, arXiv 2503.01328): away in the first one
    after F, back in the last one before B.
    """
    if costs is None:
        found = reloads(schedule, stages)
    else:
        for microbatch, factors in enumerate(costs.microbatch_scale):
            if 0 in factors:
                raise ValueError(
                    f"microbatch_scale of microbatch {microbatch} is 0: where activations are "
                    "offloaded, every microbatch needs a length"
                )
        found = _just_in_time(schedule, checked_stages(schedule, stages), costs)
    return with_copies(schedule, found, stores=tuple(stores) or schedule.stores)


def _just_in_time(schedule: Schedule, stages: frozenset[int], costs: Costs) -> dict[Op, Op]:
    """For each L the first pass of the step that may begin while it runs.

    What can be away and back in time with all O's before it is chosen in the order of the forwards;
    then L's are placed from the last to the first: each ends before its backward begins, and
    before the next L does.
    """
    trace = simulate(schedule, costs)
    lines, found = device_steps(trace), dict[Op, Op]()
    for device in range(schedule.n_devices):
        order = computing(schedule, device)
        line = lines[device]
        starts = [exact(in_time(trace, time)) for time in line.start]
        ends = [exact(in_time(trace, time)) for time in line.end]
        place = {op: number for number, step in enumerate(order) for op in step}
        away, out_until = dict[Op, Fraction](), Fraction(0)
        backs = candidates(schedule, device, stages)
        for op in sorted(backs, key=lambda op: place[op._replace(kind="F")]):
            out, back = (exact(costs.duration((one,))) for one in _both(op))
            until = max(out_until, ends[place[op._replace(kind="F")]]) + out
            if until + back <= starts[place[op]]:
                away[op] = out_until = until
        free: Fraction | None = None
        for op in (op for op in reversed(backs) if op in away):
            load = _both(op)[1]
            due = starts[place[op]] if free is None else min(free, starts[place[op]])
            # A copy begins at the end of a step: the last one by then.
            ended = bisect_right(ends, due - exact(costs.duration((load,)))) - 1
            if ended >= 0 and ends[ended] >= away[op]:
                free = ends[ended]
                found[load] = order[ended + 1][0]
    return found


def _both(op: Op) -> tuple[Op, Op]:
    """O and L of what a backward pass needs."""
    return op._replace(kind="O"), op._replace(kind="L")
