"""DualPipe: two directions whose forwards and backwards run as fused pairs, to hide all-to-all."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .dualpipe_v import eight_phases
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
    full, half = max(2 * n_devices, n_microbatches + n_microbatches % 2), n_devices // 2
    rows = []
    for r in range(n_devices):
        stages = (r, n_devices - 1 - r)  # of those that go down, and of those that go up
        ways = [[(stages[way], i) for i in range(way, full, 2)] for way in (0, 1)]
        rows.append(eight_phases(min(stages), half, ways if r < half else ways[::-1]))
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
