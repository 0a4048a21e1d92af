"""DualPipeV: a V of stages whose forwards and backwards run as fused pairs, to hide all-to-all."""

from __future__ import annotations

from collections.abc import Sequence

from ..schedule.ir import Op, Schedule, Step
from .family import Family
from .subset import first_microbatches


def dualpipe_v(n_devices: int, n_microbatches: int) -> Schedule:
    """DualPipeV: eight phases around a stable one of fused forward-backward pairs.

    Bubble (p-1)(F&BW + BW - 3W) in passes of one stage, i.e. half of it in shares, on the makespan
    for m >= 2p; F&BW is the time of a pair (`pair_scale` of `Costs`), the sum if not given. Peak
    2p+1 chunks, p + 1/2 shares. Fewer than 2p microbatches play the order for 2p without those
    that are missing; a pair that loses one half runs the other alone.

    >>> print(dualpipe_v(1, 3))
    dualpipe-v: 1 device, 2 stages, 3 microbatches
    device 0 | F0@0 F0@1 F1@0 BW0@1 F1@1&BW0@0 F2@0&BW1@1 F2@1&BW1@0 BW2@1 B2@0 W2@0

    Source: DeepSeek-AI 2025, github.com/deepseek-ai/DualPipe; Sea AI Lab 2025, cut-in-half.
    """
    full = max(2 * n_devices, n_microbatches)
    rows = []
    for r in range(n_devices):
        ways = [[(stage, i) for i in range(full)] for stage in (r, 2 * n_devices - 1 - r)]
        rows.append(eight_phases(r, n_devices, ways))
    schedule = Schedule(
        placement=(*range(n_devices), *reversed(range(n_devices))),
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        n_microbatches=full,
        fused=tuple(step for row in rows for step in row if len(step) > 1),
        name="dualpipe-v",
    )
    return first_microbatches(schedule, n_microbatches)


def eight_phases(r: int, p: int, ways: Sequence[Sequence[tuple[int, int]]]) -> list[Step]:
    """The steps of device r of p, counted from where the first of the two ways begins.

    ways: stage and microbatch of the passes of either way here, of as many microbatches each: of
        the two stages of a V, or of the two directions of DualPipe, which is two V's of half as
        many devices, each the mirror of the other.
    """
    forward = [iter(way) for way in ways]
    backward = [iter(way) for way in ways]
    pending: list[Op] = []
    row: list[Step] = []

    def f(way: int) -> Op:
        return Op("F", *next(forward[way]))

    def bw(way: int) -> Op:
        return Op("BW", *next(backward[way]))

    def run(*passes: Op) -> None:
        row.extend((op,) for op in passes)

    def b(way: int) -> None:
        pending.append(bw(way)._replace(kind="W"))
        run(pending[-1]._replace(kind="B"))

    def w() -> None:
        run(pending.pop(0))

    for _ in range(2 * (p - r - 1)):  # 1
        run(f(0))
    for _ in range(r + 1):  # 2
        run(f(0), f(1))
    for _ in range(p - r - 1):  # 3
        b(1)
        w()
        run(f(1))
    for i in range(len(ways[0]) - 2 * p + r + 1):  # 4
        if i == 0 and r == p - 1:
            run(f(0), bw(1))
        else:
            row.append((f(0), bw(1)))
        row.append((f(1), bw(0)))
    for _ in range(p - r - 1):  # 5
        run(bw(1))
        row.append((f(1), bw(0)))
    for i in range(2 * (r + 1)):  # 6: W split off in the second half
        way = 1 - i % 2
        if i < r + 1:
            run(bw(way))
        else:
            b(way)
    for _ in range(p - r - 1):  # 7
        w()
        b(0)
    while pending:  # 8
        w()
    return row


DUALPIPE_V = Family(
    "dualpipe-v",
    dualpipe_v,
    placement="V",
    passes="F B W BW",
    bubble="(p-1)*(F+2*B-W)/2",
    peak="p + 1/2",
    exact_when="F == B == W and m >= 2*p",
    source="DeepSeek-AI 2025, github.com/deepseek-ai/DualPipe, DualPipeV",
)
