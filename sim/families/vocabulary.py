"""Vocabulary parallelism: S and T laid into orders that leave room for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ..schedule.dependencies import reads, writes
from ..schedule.ir import Op, Schedule, Value

CELLS = {"BW": 8, "S": 1, "T": 1}
"""How long passes are taken to be; others take 4."""


def with_vocabulary(schedule: Schedule, barriers: int) -> Schedule:
    """`schedule` with S and T of every microbatch on every device, and so many barriers.

    Played in cells of time, a device runs S as soon as the last stage has sent its activation, and
    T as soon as all S are there if the last stage waits for it. Where it does not, T fills what
    would be idle, or follows the S of the next microbatch: so the scores of at most two are kept.
    All other passes keep their order, which should let a microbatch wait one more interval between
    F and B of the last stage for each barrier.

    Yeung et al. 2024, arXiv 2411.05288, sections 4 and 5, who give S and T fixed places in every
    interval instead.
    """
    if barriers not in (1, 2):
        raise ValueError(f"{schedule.name}: barriers is {barriers}: it must be 1 or 2")
    cut = replace(schedule, vocabulary=barriers)
    p, m, k = cut.n_devices, cut.n_microbatches, cut.n_slices
    left = [iter(order) for order in schedule.orders]
    heads = [next(order, None) for order in left]
    extra = [
        {
            kind: [Op(kind, d, i, part) for i, part in product(range(m), range(k))][::-1]
            for kind in ("S", "T")
        }
        for d in range(p)
    ]
    orders: list[list[Op]] = [[] for _ in range(p)]
    written: dict[Value, int] = {}
    free, now = [0] * p, 0

    def ready(op: Op | None) -> bool:
        return op is not None and all(written.get(v, now + 1) <= now for v in reads(cut, op))

    def choices(device: int) -> Iterator[Op | None]:
        scores, gradients = extra[device]["S"], extra[device]["T"]
        yield scores[-1] if scores else None
        gradient = gradients[-1] if gradients else None
        if barriers == 2 or len(gradients) > len(scores) + 1:
            yield gradient
        yield heads[device]
        yield gradient

    todo = cut.n_ops + 2 * p * m * k
    while todo:
        for device in (d for d in range(p) if free[d] <= now):
            op = next((op for op in choices(device) if ready(op)), None)
            if op is None:
                continue
            if op == heads[device]:
                heads[device] = next(left[device], None)
            else:
                extra[device][op.kind].pop()
            orders[device].append(op)
            free[device] = now + CELLS.get(op.kind, 4)
            written.update((value, free[device]) for value in writes(cut, op))
            todo -= 1
        now += 1
    return replace(cut, orders=tuple(map(tuple, orders)))
