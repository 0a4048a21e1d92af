"""Compiled local search on orders and levers together: annealing along the critical path.

A move takes a pass of the order, or an R or L, a few places ahead or back, or pulls or lets go the
lever of a unit; often it is repeated for the following microbatches, as good schedules are nearly
periodic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import Ints, below, compiled, overwrite
from ..orders.anneal import SUM_WEIGHT, Cooling, moved_row, random_step
from ..orders.problem import Order, OrderTables
from ..orders.replay import BROKEN
from .play import fits_by_order, offloads, place_levers, play
from .problem import Leads, LeverTables, Modes


class Annealed(NamedTuple):
    """The best that was found, and how many passes were played for it."""

    order: Order
    mode: Modes
    lead: Leads
    passes: Any


@compiled
def anneal_levers(
    order: Order, mode: Modes, lead: Leads, longest: bool, tables: OrderTables, more: LeverTables,
    allowed: Ints, cooling: Cooling, rng: np.random.Generator,
) -> Annealed:  # fmt: skip
    """The best that annealing finds from an order with levers."""
    n_devices, length = order.shape
    n_stages, m = mode.shape
    row_step = 3 * tables.stages_of.shape[1]
    order, mode, lead = order.copy(), mode.copy(), lead.copy()
    best_order, best_mode, best_lead = order.copy(), mode.copy(), lead.copy()
    first_of = np.full((n_devices, length), -1, np.int64)
    next_of = np.full(n_stages * m, -1, np.int64)
    by_order = np.zeros(n_devices, np.bool_)
    end = np.zeros((6 * n_stages, m), np.int64)
    cause, place = np.full((6 * n_stages, m), -1, np.int64), np.zeros((3 * n_stages, m), np.int64)
    path = np.zeros(6 * n_stages * m + 1, np.int64)
    work: Any = np.int64(0)
    for d in range(n_devices):
        place_levers(order[d], d, mode, lead, first_of, next_of)
        by_order[d] = not offloads(mode, tables.stages_of[d])
        if by_order[d] and not fits_by_order(order[d], d, mode, first_of, next_of, more):
            return Annealed(best_order, best_mode, best_lead, work)
    value, total, n = play(
        order, mode, first_of, next_of, by_order, longest, tables, more, end, cause, place, True,
        BROKEN,
    )  # fmt: skip
    work += n
    if value == BROKEN:
        return Annealed(best_order, best_mode, best_lead, work)
    cost = value * 1000 + total * SUM_WEIGHT // n_devices
    best_value, best_cost = value, cost
    n_path: Any = 0
    hot, tried = float(cooling.hot), 0
    ratio = max(cooling.cold, 1) / max(cooling.hot, 1) if cooling.hot > 0 else 1.0
    heat = hot
    trial = np.zeros_like(end)
    while tried < cooling.moves and best_value > cooling.target:
        tried += 1
        if tried % 64 == 0:
            heat = hot * ratio ** (tried / cooling.moves)
        if n_path == 0:
            n_path = _critical_path(order, longest, tables, end, cause, rng, path)

        # choose a pass: mostly on the critical path
        if below(rng, 8) > 0:
            spot = path[below(rng, n_path)]
            row, i = spot // m, spot % m
        else:
            row, i = below(rng, 3 * n_stages), below(rng, m)
        s: Any = row // 3 if row < 3 * n_stages else row % n_stages
        d = tables.device_of[s]
        saved, saved_mode, saved_lead = order[d].copy(), mode.copy(), lead.copy()
        what = below(rng, 16)
        changed = False
        if (row >= 3 * n_stages and what < 12) or what == 12:
            changed = _other_lever(mode, lead, s, i, tables.stages_of[d], allowed, rng)
        elif row >= 3 * n_stages or what == 13:
            changed = _other_lead(mode, lead, s, i, length, row_step, rng)
        elif what >= 14:
            stages = tables.stages_of[d]
            changed = _other_lever(
                mode, lead, stages[below(rng, len(stages))], below(rng, m), stages, allowed, rng
            )
        if not changed and row < 3 * n_stages:
            x = place[row, i]
            to = x + random_step(row_step, rng)
            if to >= 0 and to < length and order[d, to] != order[d, x]:
                times = 1 + below(rng, m) if below(rng, 3) == 0 else 1
                period = 2 * row_step if below(rng, 4) == 0 else row_step
                changed = moved_row(order[d], saved, x, to, period, times, length, length)
        if not changed:
            continue
        place_levers(order[d], d, mode, lead, first_of, next_of)
        was_by_order = by_order[d]
        by_order[d] = not offloads(mode, tables.stages_of[d])
        fits = not by_order[d] or fits_by_order(order[d], d, mode, first_of, next_of, more)
        new: Any = BROKEN
        if fits:
            worst = cost - np.int64(heat * np.log(1.0 - rng.random()))
            value, total, n = play(
                order, mode, first_of, next_of, by_order, longest, tables, more, trial, cause,
                place, False, worst // 1000,
            )  # fmt: skip
            work += n
            if value < BROKEN:
                new = value * 1000 + total * SUM_WEIGHT // n_devices
                if new > worst:
                    new = BROKEN
        if new == BROKEN:
            overwrite(order[d], saved)
            overwrite(mode, saved_mode)
            overwrite(lead, saved_lead)
            place_levers(order[d], d, mode, lead, first_of, next_of)
            by_order[d] = was_by_order
            continue
        cost, n_path = new, 0
        work += play(
            order, mode, first_of, next_of, by_order, longest, tables, more, end, cause, place,
            True, BROKEN,
        )[2]  # fmt: skip
        if value < best_value or (value == best_value and new < best_cost):
            best_value, best_cost = value, new
            overwrite(best_order, order)
            overwrite(best_mode, mode)
            overwrite(best_lead, lead)
    return Annealed(best_order, best_mode, best_lead, work)


@compiled
def _other_lever(
    mode: Modes, lead: Leads, s: Any, i: Any, stages: Ints, allowed: Ints, rng: np.random.Generator
) -> bool:
    """Another lever for a unit, maybe for some that follow; sometimes another unit of the device
    takes over what this one had."""
    m = mode.shape[1]
    had = mode[s, i]
    new = allowed[below(rng, allowed.size)]
    if new == had:
        return False
    times = 1
    every = 1
    if below(rng, 4) == 0:
        times = 1 + below(rng, m)
        every = 1 + below(rng, 3)
    swap = below(rng, 2) == 0
    other = stages[below(rng, stages.size)]
    shift = below(rng, 9) - 4
    early = below(rng, 6) if new == 2 else 0
    for k in range(times):
        at = i + k * every
        if at >= m:
            break
        if mode[s, at] == had:
            mode[s, at] = new
            lead[s, at] = early
            there = at + shift
            another = other != s or shift != 0
            if swap and another and 0 <= there < m and mode[other, there] == new:
                mode[other, there] = had
                lead[other, there] = early if had == 2 else 0
    return True


@compiled
def _other_lead(
    mode: Modes, lead: Leads, s: Any, i: Any, length: Any, row_step: Any, rng: np.random.Generator
) -> bool:
    """R or L of a unit earlier or later, maybe of some that follow too."""
    m = mode.shape[1]
    if mode[s, i] == 0:
        return False
    step = random_step(row_step, rng)
    times = 1 + below(rng, m) if below(rng, 3) == 0 else 1
    changed = False
    for at in range(i, min(m, i + times)):
        new = lead[s, at] + step
        if mode[s, at] != 0 and new >= 0 and new < length:
            lead[s, at] = new
            changed = True
    return changed


@compiled
def _critical_path(
    order: Order, longest: bool, tables: OrderTables, end: Ints, cause: Ints,
    rng: np.random.Generator, path: Ints,
) -> int:  # fmt: skip
    """Back from the last pass of a device that decides the clock; how many passes it has."""
    m = end.shape[1]
    most, last = np.int64(-1), np.int64(0)
    for d in range(order.shape[0]):
        code = np.int64(order[d, -1])
        time = end[code, m - 1]
        if longest:
            head = order[d, 0]
            time -= end[head, 0] - tables.duration[head, 0]
        if time > most or (time == most and below(rng, 2) == 0):
            most, last = time, code * m + m - 1
    n = 0
    while last >= 0:
        path[n] = last
        n += 1
        last = cause[last // m, last % m]
    return n
