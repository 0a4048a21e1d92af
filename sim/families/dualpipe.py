"""DualPipe: two directions whose forwards and backwards run as fused pairs, to hide all-to-all."""

from __future__ import annotations

from itertools import count

from ..schedule.ir import Op, Schedule, Step
from .family import Family
from .subset import first_microbatches


def dualpipe(n_devices: int, n_microbatches: int) -> Schedule:
    """DualPipe: eight phases around a stable one of fused forward-backward pairs, both ways.

    Even microbatches go down from device 0, odd ones up from the last one; a device holds one stage
    for either. Bubble (p/2-1)(F&BW + BW - 3W) on the makespan for even m >= 2p; F&BW is the time of
    a pair (`pair_scale` of `Costs`), the sum if not given. Peak p+1 shares on every device, which
    holds two stages' weights. Fewer than 2p microbatches, or an odd one, play the order for the
    next even number without those that are missing; a pair that loses one half runs the other
    alone.

    >>> print(dualpipe(2, 4))
    dualpipe: 2 devices, 2 stages, 4 microbatches; microbatches take 2 routes
    device 0 | F0 F1 F2 BW1 F3&BW0 BW3 B2 W2
    device 1 | F1 F0 F3 BW0 F2&BW1 BW2 B3 W3

    Source: DeepSeek-AI 2024, arXiv 2412.19437, section 3.2; github.com/deepseek-ai/DualPipe.
    """
    if n_devices % 2:
        raise ValueError(f"dualpipe takes an even number of devices, not {n_devices}")
    full = max(2 * n_devices, n_microbatches + n_microbatches % 2)
    rows = [_order(device, n_devices, full) for device in range(n_devices)]
    schedule = Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        n_microbatches=full,
        fused=tuple(step for row in rows for step in row if len(step) > 1),
        name="dualpipe",
        routes=(tuple(range(n_devices))[::-1],),
        follows=(0, 1) * (full // 2),
    )
    return first_microbatches(schedule, n_microbatches)


def _order(r: int, p: int, m: int) -> list[Step]:
    h, half = min(r, p - 1 - r), p // 2
    # Direction 0 is the one that enters nearer: down in the first half of the devices.
    ways = ((r, 0), (p - 1 - r, 1)) if r < half else ((p - 1 - r, 1), (r, 0))
    forward = [count(), count()]
    backward = [count(), count()]
    pending: list[Op] = []
    row: list[Step] = []

    def f(way: int) -> Op:
        stage, first = ways[way]
        return Op("F", stage, first + 2 * next(forward[way]))

    def bw(way: int) -> Op:
        stage, first = ways[way]
        return Op("BW", stage, first + 2 * next(backward[way]))

    def run(*passes: Op) -> None:
        row.extend((op,) for op in passes)

    def b(way: int) -> None:
        pending.append(bw(way)._replace(kind="W"))
        run(pending[-1]._replace(kind="B"))

    def w() -> None:
        run(pending.pop(0))

    for _ in range(2 * (half - h - 1)):  # 1
        run(f(0))
    for _ in range(h + 1):  # 2
        run(f(0), f(1))
    for _ in range(half - h - 1):  # 3
        b(1)
        w()
        run(f(1))
    for i in range(m // 2 - p + h + 1):  # 4
        if i == 0 and h == half - 1:
            run(f(0), bw(1))
        else:
            row.append((f(0), bw(1)))
        row.append((f(1), bw(0)))
    for _ in range(half - h - 1):  # 5
        run(bw(1))
        row.append((f(1), bw(0)))
    for i in range(2 * (h + 1)):  # 6: W split off in the second half
        way = 1 - i % 2
        if i < h + 1:
            run(bw(way))
        else:
            b(way)
    for _ in range(half - h - 1):  # 7
        w()
        b(0)
    while pending:  # 8
        w()
    return row


DUALPIPE = Family(
    "dualpipe",
    dualpipe,
    placement="both ways",
    passes="F B W BW",
    bubble="(p/2-1)*(F+2*B-W)",
    peak="p + 1",
    exact_when="F == B == W and m >= 2*p and m % 2 == 0",
    source="DeepSeek-AI 2024, arXiv 2412.19437, section 3.2",
)
