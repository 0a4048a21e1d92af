"""Layouts: when the passes of one period start, and two that always work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ...schedule.ir import Op
from .floors import chain_length, work_bound
from .problem import BlockProblem, dependencies
from .unroll import PeriodicOrder, unrolled


@dataclass(frozen=True)
class Layout:
    """The start of every pass of microbatches 0 to n - 1, in ticks.

    Microbatch i + n does the same one `period` later.
    """

    period: int
    n: int
    start: Mapping[Op, int]


class Answer(NamedTuple):
    """A layout, or None; then `proven` says whether that excludes the period (and all below)."""

    layout: Layout | None
    proven: bool


class NoLayout(ValueError):
    """Starts that are no layout, or an order that has none."""


def one_at_a_time(problem: BlockProblem) -> Layout:
    """One microbatch from its first F to its last W, then the next; holds the least memory."""
    start: dict[Op, int] = {}
    before, now = problem.passes[0], 0
    for op in problem.passes:
        if op.stage != before.stage:
            now += problem.send[min(op.stage, before.stage)]
        start[op] = now
        before, now = op, now + problem.duration(op)
    return Layout(chain_length(problem), 1, start)


def device_by_device(problem: BlockProblem) -> Layout:
    """Every device does its passes in one go, over and over: the smallest period if memory is no
    object, since a pass may wait for as many periods as it likes."""
    period, phase = work_bound(problem), {}
    for stages in problem.stages_of:
        now = 0
        for op in (op for op in problem.passes if op.stage in stages):
            phase[op], now = now, now + problem.duration(op)
    start = {problem.passes[0]: phase[problem.passes[0]]}
    for writer, reader, send in dependencies(problem):
        ready = start[writer] + problem.duration(writer) + send
        start[reader] = ready + (phase[reader] - ready) % period
    return Layout(period, 1, start)


def order_of(problem: BlockProblem, layout: Layout, scale: int = 1) -> PeriodicOrder:
    """What each device does from 0 to the period of a layout (in ticks / scale).

    Of passes at one instant those without length come first, and ties go to the older microbatch:
    that order keeps the limit.
    """
    rounds: list[list[tuple[int, int, int, int, Op]]] = [[] for _ in range(problem.n_devices)]
    place = {op: position for position, op in enumerate(problem.passes)}
    for op, start in layout.start.items():
        periods, phase = divmod(start, layout.period) if layout.period else (0, start)
        i = op.microbatch - layout.n * periods
        key = phase, problem.duration(op) * scale, i, place[op._replace(microbatch=0)]
        rounds[problem.placement[op.stage]].append((*key, op._replace(microbatch=i)))
    return PeriodicOrder(tuple(tuple((op,) for *_, op in sorted(row)) for row in rounds), layout.n)


def check_layout(problem: BlockProblem, layout: Layout, scale: int = 1) -> None:
    """NoLayout unless the layout (in ticks / scale) is what it claims, played out microbatch by
    microbatch: inputs in time, one pass at a time on a device, never more alive than the limit."""
    for i in range(layout.n):
        for writer, reader, send in dependencies(problem):
            ready = layout.start[_of(writer, i)] + (problem.duration(writer) + send) * scale
            if layout.start[_of(reader, i)] < ready:
                raise NoLayout(f"{reader} starts before its input has arrived")
    if layout.period <= 0:
        return  # nothing takes any time
    starts = layout.start.values()
    periods = (max(starts) - min(starts)) // layout.period + 3
    orders = unrolled(order_of(problem, layout, scale), layout.n * periods)
    for device, order in enumerate(orders.ops()):
        _check_device(problem, layout, scale, device, order)


def _check_device(
    problem: BlockProblem, layout: Layout, scale: int, device: int, order: Iterable[Op]
) -> None:
    busy_until = alive = 0
    before = None
    for op in order:
        period, i = divmod(op.microbatch, layout.n)
        start = layout.start[_of(op, i)] + layout.period * period
        if before and start < busy_until:
            raise NoLayout(f"{before} and {op} overlap on device {device}")
        if problem.limit is not None and alive + problem.rise(op) > problem.limit[device]:
            raise NoLayout(f"device {device} holds more than its limit")
        before, busy_until = op, start + problem.duration(op) * scale
        alive += problem.net(op)


def _of(op: Op, microbatch: int) -> Op:
    return op._replace(microbatch=microbatch)
