"""Orders as early as they can be: every pass as soon as its inputs and its device allow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .passes import Passes, Row


def squeezed(orders: Sequence[Sequence[int]], passes: Passes) -> list[Row]:
    """When every pass starts if each device keeps its order and nobody idles without a reason.

    ValueError naming a waiting pass if the orders wait for each other for ever.
    """
    m, length, source, gap = passes.n_microbatches, passes.length, passes.source, passes.gap
    total = passes.of_kind * len(passes.kinds)
    ends = [_NOT_YET] * total
    awaited_by = [_NOBODY] * total
    starts: list[list[int]] = [[] for _ in orders]
    free = [0] * len(orders)
    todo = list(range(len(orders)))
    while todo:
        device = todo.pop()
        row, order, now = starts[device], orders[device], free[device]
        for number in order[len(row) :]:
            shape = number // m
            if to_source := source[shape]:
                ready = ends[number + to_source]
                if ready == _NOT_YET:
                    awaited_by[number + to_source] = device
                    break
                if ready + gap[shape] > now:
                    now = ready + gap[shape]
            row.append(now)
            now += length[shape]
            ends[number] = now
            if awaited_by[number] != _NOBODY:
                todo.append(awaited_by[number])
        free[device] = now
    for row, order in zip(starts, orders, strict=True):
        if len(row) < len(order):
            raise ValueError(
                f"{passes.op(order[len(row)])} waits for ever: "
                "the orders of the devices contradict each other"
            )
    return [Row(row, list(order)) for row, order in zip(starts, orders, strict=True)]


_NOT_YET = _NOBODY = -1


def with_weights(row: Row, passes: Passes) -> list[int]:
    """The order of one device; W's not in the row float: idle cells take the oldest that waits."""
    weights, backwards, m = passes.of("W"), passes.of("B"), passes.n_microbatches
    if not weights or any(number in weights for number in row.passes):
        return row.passes
    length, cells, to_weight = passes.length, passes.cells.lengths["W"], len(backwards)
    order: list[int] = []
    pending: deque[int] = deque()
    free = 0
    for start, number in zip(*row, strict=True):
        while pending and free + cells <= start:
            order.append(pending.popleft())
            free += cells
        order.append(number)
        free = start + length[number // m]
        if number in backwards:
            pending.append(number + to_weight)
    return [*order, *pending]
