"""Decides exactly whether a V pipeline can repeat with a given period, device by device.

On a V placement device d holds stages d (chunk 0) and 2p-1-d (chunk 1). For one microbatch let
a, b, c, e be the starts of F0, F1, B1, B0 on a device. From device d to d+1, a and c move later,
b and e move earlier:

    device 0    a ----------------------------- b c ----------------------------- e
    device 1       a ----------------------- b      c ----------------------- e
    device 2          a ----------------- b            c ----------------- e

What a device needs of the others is thus only (b - a) mod T, the outer loop O = c - b and the inner
loop I = e - a. The set of reachable (b - a, O, I) is carried from device 0 to device p-1 by four
moves, each a running minimum, and filtered on every device by: no overlap modulo T, and a place for
both W such that the live activations stay within the limit. Of equal O mod T only the smallest O is
kept, since it serves at least as well in all that follows. The last device closes the loop: I must
be at least O plus its own passes. No layout found is a proof that there is none.

Time and space grow with p T^2 G, where G is the slack that the memory limit leaves to the loops.
"""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...schedule.ir import Op
from ..settings.effort import Effort
from . import budget
from .decide_v_moves import NEVER, closing, first, move_a, move_b, move_c, move_e, struck
from .decide_v_weights import DeviceMemory, DeviceTimes, weights
from .floors import area_of, least_loop
from .layout import Answer, Layout
from .problem import BlockProblem

LARGEST_TABLE = 120_000_000
StateTable = NDArray[np.uint8]


class State(NamedTuple):
    """b - a modulo T, the outer loop, and how much longer than its least the inner loop is."""

    u: int
    outer: int
    extra: int


class Steps(NamedTuple):
    """By how much b, c, e, a move from one device to the next, in the order of `MOVES`."""

    b: int
    c: int
    e: int
    a: int


MOVES = (move_b, move_c, move_e, move_a)


class VDevice(NamedTuple):
    """What one device brings into the tables; `least` are the least steps to it."""

    times: DeviceTimes
    memory: DeviceMemory
    least: Steps
    least_inner: int


def v_layout(problem: BlockProblem, period: int, *, effort: Effort | None = None) -> Answer | None:
    """The answer for a V placement; None if its tables would exceed `LARGEST_TABLE` bytes.

    effort: where the work on the tables is reported.
    """
    T, effort = period, effort or Effort()
    slack = _slack(problem, T)
    if min(slack) < 0:
        return Answer(None, True)
    G = max(slack)
    # a layout that waits longer than this anywhere is not worth looking for, but not excluded
    cap = 2 * T if G > 3 * T else G
    if (cap + 1) * T * T > LARGEST_TABLE:
        return None
    devices = [_device(problem, d) for d in range(problem.n_devices)]
    answer = _search(problem, T, [min(s, cap) for s in slack], devices, effort)
    if answer.layout is None and cap < G:
        if (G + 1) * T * T > LARGEST_TABLE:
            return Answer(None, False)
        answer = _search(problem, T, slack, devices, effort)
    if answer.layout is None:
        # what is excluded only because a microbatch would run backwards in an instant is not sure
        loose = [device._replace(memory=device.memory.without_ties()) for device in devices[:-1]]
        if loose != devices[:-1]:
            found = _search(problem, T, slack, [*loose, devices[-1]], effort)
            return Answer(None, found.layout is None)
    return answer


def n_states(problem: BlockProblem, period: int) -> int:
    """How much work an answer for `period` takes, in states x devices."""
    slack = _slack(problem, period)
    return (max(slack) + 1) * period * period * problem.n_devices if min(slack) >= 0 else 0


def _slack(problem: BlockProblem, T: int) -> list[int]:
    """How much longer than its least the inner loop of each device may be under the limit."""
    p, last, found = problem.n_devices, problem.n_stages - 1, list[int]()
    assert problem.limit is not None
    for d in range(p):
        area = sum(area_of(problem, s, least_loop(problem, s)) for s in (d, last - d))
        left = problem.limit[problem.placement[d]] * T - area
        found.append(
            left // problem.kept[d] if problem.kept[d] else (4 * p * T if left >= 0 else -1)
        )
    for d in range(1, p):  # a loop inside another has no more slack than that one
        found[d] = min(found[d], found[d - 1])
    return found


def _device(problem: BlockProblem, d: int) -> VDevice:
    """Device d, counted from the ends of the V to its tip."""
    other = problem.n_stages - 1 - d
    f, b, w, send = problem.forward, problem.backward, problem.weight, problem.send
    assert problem.limit is not None
    least = Steps(0, 0, 0, 0)
    if d:
        down, up = send[d - 1], send[other]
        least = Steps(f[other] + up, b[other + 1] + up, b[d] + down, f[d - 1] + down)
    return VDevice(
        DeviceTimes(f[d], f[other], b[other], b[d], w[other], w[d]),
        DeviceMemory(
            problem.kept[d], problem.kept[other], problem.change[d], problem.change[other],
            problem.limit[problem.placement[d]],
            int(_at_once(problem, f, d)), int(_at_once(problem, b, d)),
        ),
        least,
        least_loop(problem, d),
    )  # fmt: skip


def _at_once(problem: BlockProblem, times: tuple[int, ...], d: int) -> bool:
    """Whether no time passes from the first to the last pass of this kind on device d."""
    last = problem.n_stages - 1 - d
    return not any(times[d : last + 1]) and not any(problem.send[d:last])


def _search(
    problem: BlockProblem, T: int, slack: list[int], devices: list[VDevice], effort: Effort
) -> Answer:
    """The answer with inner loops that are at most so much longer than their least."""
    keep = len(devices) * (max(slack) + 1) * T * T <= 2 * LARGEST_TABLE
    kept = _carried(T, slack, devices, keep, effort)
    if not kept:
        return Answer(None, True)
    extra, o, u = closing(kept[-1], T, devices[-1].least_inner, devices[-1].times)
    if extra < 0:
        return Answer(None, True)
    if not keep:
        kept = _carried(T, slack, devices, True, effort)
    state = State(u, int(kept[-1][extra, o, u]) * T + o, extra)
    steps = _traced(T, devices, kept, state)
    return Answer(_layout(problem, T, devices, state, steps), True)


def _carried(
    T: int, slack: list[int], devices: list[VDevice], keep: bool, effort: Effort
) -> list[StateTable]:
    """The filtered tables of all devices, or only the last one; none if a device has no state."""
    table: StateTable = np.empty((max(slack) + 1, T, T), np.uint8)
    kept = []
    first(table, T, devices[0].times.f1)
    for d, device in enumerate(devices):
        if d:
            for move, least in zip(MOVES, device.least, strict=True):
                move(table, T, least)
        effort.worked(budget.SECONDS_PER_STATE * table.size)
        if not struck(table, T, device.least_inner, slack[d], device.times, device.memory):
            return []
        if keep:
            kept.append(table.copy())
    return kept or [table]


def _traced(T: int, devices: list[VDevice], kept: list[StateTable], state: State) -> list[Steps]:
    """Walk back from a state of the last device to where it can come from on the first one: the
    steps to each device, from the last to the second."""
    u, outer, extra = state
    steps = []
    for d in range(len(devices) - 1, 0, -1):
        least = devices[d].least
        tables = [kept[d - 1]]  # before each move
        for move, by in zip(MOVES[:3], least, strict=False):
            tables.append(tables[-1].copy())
            move(tables[-1], T, by)
        # undo a: b - a and the inner loop were longer by as much
        a = next(x for x in count() if _in(tables[3], T, u + least.a + x, outer, extra + x))
        u, extra = (u + least.a + a) % T, extra + a
        # undo e: the inner loop was longer
        e = next(x for x in count() if _in(tables[2], T, u, outer, extra + x))
        extra += e
        # undo c: the outer loop was shorter
        c = next(x for x in range(T) if _in(tables[1], T, u, outer - least.c - x, extra))
        outer -= least.c + c
        # undo b: the outer loop was shorter, and b - a longer by as much
        b = next(
            x for x in range(T)
            if _in(tables[0], T, u + least.b + x, outer - least.b - x, extra)
        )  # fmt: skip
        u, outer = (u + least.b + b) % T, outer - least.b - b
        steps.append(Steps(least.b + b, least.c + c, least.e + e, least.a + a))
    return steps


def _layout(
    problem: BlockProblem, T: int, devices: list[VDevice], state: State, steps: list[Steps]
) -> Layout:
    """The start of every pass, from the tip of the V to its ends."""
    start: dict[Op, int] = {}
    tip = devices[-1]
    a = sum(step.a for step in steps)
    b = a + tip.times.f0 + (state.u - tip.times.f0) % T
    c, e = b + state.outer, a + tip.least_inner + state.extra
    for d in reversed(range(len(devices))):
        times, other = devices[d].times, problem.n_stages - 1 - d
        w1, w0 = weights(T, (b - a) % T, c - b, e - a, times, devices[d].memory)
        assert w1 >= 0
        start[Op("F", d, 0)], start[Op("F", other, 0)] = a, b
        start[Op("B", d, 0)], start[Op("B", other, 0)] = e, c
        start[Op("W", d, 0)], start[Op("W", other, 0)] = e + times.b0 + w0, c + times.b1 + w1
        if d:
            step = steps[len(devices) - 1 - d]
            a, b, c, e = a - step.a, b + step.b, c - step.c, e + step.e
    return Layout(T, 1, start)


def _in(table: StateTable, T: int, u: int, outer: int, extra: int) -> bool:
    """Whether a table has a state with this outer loop, or a smaller one of the same residue."""
    periods = int(table[extra, outer % T, u % T])
    return periods != NEVER and periods * T + outer % T <= outer
