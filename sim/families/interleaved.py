"""Interleaved 1F1B: v stages per device on a loop, so the bubble is v times smaller."""

from __future__ import annotations

from itertools import chain

from ..base.text import plural
from ..schedule.ir import Kind, Op, Schedule
from .family import Family
from .subset import first_microbatches


def interleaved(
    n_devices: int, n_microbatches: int, *, v: int = 2, group_size: int | None = None
) -> Schedule:
    """Interleaved 1F1B: groups of `group_size` (N) microbatches visit the v stages in turn.

    Device r warms up with 2(p-r-1) + (v-1)N forwards of one stage, then alternates, then drains.
    Bubble (p-1)(F+B+W)/v on either clock; peak ((v-1)N + 2(p-1) + 1)/v shares on device 0.

    Any m >= 1: the last group may be smaller. With p microbatches or more it is one of its own
    size, which costs nothing. With fewer it keeps its place in the order of a full group, and the
    bubble grows by what is missing; torch and Megatron-LM refuse such a group. `group_size`, where
    it is not given, is the smallest number that both run: see `default_group`. It is at least
    p - 1, or the next group would have to start before the first microbatch is back; a smaller one
    serves m <= N, a single group, and with two stages per device m = N + 1. The formulas hold from
    N = p on. One stage per device is 1F1B, whatever N is.

    >>> print(interleaved(2, 2))
    interleaved: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@2 F1@2 BW0@2 BW1@2 BW0@0 BW1@0
    device 1 | F0@1 F1@1 F0@3 BW0@3 F1@3 BW1@3 BW0@1 BW1@1

    Source: Narayanan et al. 2021, arXiv 2104.04473, section 2.2; groups other than p are
    Megatron-LM's (`--microbatch-group-size-per-virtual-pipeline-stage`), and the order is that of
    its table (`get_schedule_table`) wherever it runs one.
    """
    size = default_group(n_devices, n_microbatches) if group_size is None else group_size
    check_group("interleaved", n_devices, n_microbatches, v=v, size=size)
    size = min(size, max(n_microbatches, n_devices))  # one group, however large, is all of them
    left = n_microbatches % size
    full = n_microbatches if left >= n_devices else -(-n_microbatches // size) * size
    warm_up = (v - 1) * size
    ahead = 1 if v == 1 else 2
    schedule = Schedule(
        placement=tuple(range(n_devices)) * v,
        orders=tuple(
            alternating(
                grouped("F", range(r, n_devices * v, n_devices), size, full),
                grouped("BW", range(r, n_devices * v, n_devices)[::-1], size, full),
                warm_up + ahead * (n_devices - r - 1),
            )
            for r in range(n_devices)
        ),
        n_microbatches=full,
        name="interleaved",
    )
    return first_microbatches(schedule, n_microbatches)


def default_group(n_devices: int, n_microbatches: int) -> int:
    """The smallest group of at least p microbatches after whose repetitions nothing is left over,
    or p microbatches at least; all m of them where they are fewer than p.

    Megatron-LM runs no other (megatron/core/pipeline_parallel/schedules.py, the checks of
    `forward_backward_pipelining_with_interleaving`). It is also torch's choice wherever torch has
    one (`ScheduleInterleaved1F1B`): with r = max(1, m // p) rounds that divide m, m / r.

    >>> default_group(4, 8), default_group(4, 10), default_group(4, 18), default_group(4, 3)
    (4, 5, 6, 3)
    """
    if n_microbatches < n_devices:
        return max(n_microbatches, 1)
    return next(
        size
        for size in range(n_devices, n_microbatches + 1)
        if not 0 < n_microbatches % size < n_devices
    )


def check_group(name: str, p: int, m: int, *, v: int, size: int, slices: int = 1) -> None:
    """ValueError if groups of `size` microbatches come back too late for what follows them.

    A device warms up with the whole group on all stages but its last one, and then needs the first
    microbatch back: that takes p - 1 more units, which must be of this group or its last stage.
    """
    most = size + 1 if v == 2 else size
    if v > 1 and size * slices < p - 1 and m > most:
        least = -(-(p - 1) // slices) * slices
        raise ValueError(
            f"{name}: group_size is {size * slices} on {p} devices, which serves at most "
            f"{plural(most, 'microbatch')}, not {m}: make it at least {least}"
        )


def grouped(kind: Kind, stages: range, size: int, m: int) -> list[Op]:
    """The passes of one kind on one device: groups of `size` microbatches, stage by stage."""
    return [
        Op(kind, stage, i)
        for first in range(0, m, size)
        for stage in stages
        for i in range(first, min(first + size, m))
    ]


def alternating(forwards: list[Op], backwards: list[Op], warm_up: int) -> tuple[Op, ...]:
    """`warm_up` forwards, then one forward and one backward in turn, then the other backwards."""
    paired = zip(forwards[warm_up:], backwards, strict=False)
    n_paired = max(len(forwards) - warm_up, 0)
    return (*forwards[:warm_up], *chain.from_iterable(paired), *backwards[n_paired:])


INTERLEAVED = Family(
    "interleaved",
    interleaved,
    placement="loop",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/v",
    peak="min(((v-1)*N + 2*(p-1) + 1)/v, m)",
    exact_when="v > 1 and m >= N >= p and (m % N == 0 or m % N >= p)",
    options=("v", "group_size"),
    source="Narayanan et al. 2021, arXiv 2104.04473, section 2.2",
)
