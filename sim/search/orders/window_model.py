"""A window as a model for CP-SAT: when each pass starts, and what follows for the clock."""

from __future__ import annotations

import math
from typing import Any

from ortools.sat.python import cp_model

from ..cp_sat import new_solver, solve
from ..settings.run_options import RunOptions
from .limits import UNLIMITED
from .problem import Order
from .timed import Pass, Timed, codes_of, in_turn

Spots = list[range]
"""Positions on each device that are in the window."""


def solved(
    timed: Timed, spots: Spots, *, seconds: float, bound: int, run: RunOptions
) -> tuple[Order, int, bool] | None:
    """The best order found, what the solver excludes below, and whether that is the same."""
    model, problem = cp_model.CpModel(), timed.problem
    inside = {timed.rows[d][x] for d, xs in enumerate(spots) for x in xs}
    tails, constant = _tails(timed, spots, inside)
    start = _starts(model, timed, spots, inside)
    duration = problem.tables.duration.tolist()
    for d, (xs, row) in enumerate(zip(spots, timed.rows, strict=True)):
        long = [row[x] for x in xs if duration[row[x][0]][row[x][1]] > 0]
        model.add_no_overlap(
            [
                model.new_fixed_size_interval_var(start[code, i], duration[code][i], "")
                for code, i in long
            ]
        )
        if xs:
            _limit_memory(model, timed, d, xs, start)
    clock = model.new_int_var(min(max(bound, constant), timed.value), timed.value, "clock")
    for item, tail in tails.items():
        model.add(clock >= start[item] + duration[item[0]][item[1]] + tail)
    model.minimize(clock)
    solver = new_solver(seconds=seconds, workers=run.workers, seed=run.seed, effort=run.effort)
    status = solve(solver, model, run.effort)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None

    def turn(item: Pass) -> tuple[int, bool, int, int]:
        return solver.value(start[item]), duration[item[0]][item[1]] > 0, item[0] % 3, item[1]

    rows = [
        row[: xs.start] + in_turn(sorted((row[x] for x in xs), key=turn), problem) + row[xs.stop :]
        if xs
        else row
        for xs, row in zip(spots, timed.rows, strict=True)
    ]
    excluded = math.ceil(solver.best_objective_bound - 1e-6)
    return codes_of(rows), excluded, status == cp_model.OPTIMAL


def _starts(
    model: cp_model.CpModel, timed: Timed, spots: Spots, inside: set[Pass]
) -> dict[Pass, Any]:
    """A variable for the start of every pass in the window, after what it reads."""
    tables = timed.problem.tables
    wait_on, near = tables.wait_on.tolist(), tables.near.tolist()
    duration, delay = tables.duration.tolist(), tables.delay.tolist()
    start: dict[Pass, Any] = {}
    for xs, row in zip(spots, timed.rows, strict=True):
        earliest = timed.end[row[xs.start - 1]] if xs and xs.start > 0 else 0
        for x in xs:
            item = code, i = row[x]
            source = wait_on[code], i
            low = earliest
            if source[0] >= 0 and source not in inside:
                low = max(low, timed.end[source] + delay[code])
            # the clock of the longest stage counts from the first pass of a device
            high = timed.value if x > 0 else timed.start[item]
            start[item] = model.new_int_var(low, max(low, high), "")
            model.add_hint(start[item], timed.start[item])
    for item in inside:
        code, i = item
        if (wait_on[code], i) in inside:
            source = wait_on[code], i
            model.add(start[item] >= start[source] + duration[source[0]][i] + delay[code])
        for other in near[code]:
            if (other, i) in inside:
                model.add(start[item] >= start[other, i] + duration[other][i])
        if (code, i + 1) in inside:
            model.add(start[code, i + 1] >= start[item] + duration[code][i])
    return start


def _tails(timed: Timed, spots: Spots, inside: set[Pass]) -> tuple[dict[Pass, int], int]:
    """Time from the end of each pass in the window to the end of the clock, and a floor for it.

    What comes after the window is played backwards. On the `longest_stage` clock a device's end
    counts from its beginning, which is known: its first pass is the forward of microbatch 0 on its
    first stage, and that starts when it arrives.
    """
    tables, longest = timed.problem.tables, timed.problem.longest
    duration, delay = tables.duration.tolist(), tables.delay.tolist()
    ends = [-timed.start[row[0]] if longest else 0 for row in timed.rows]
    reader = {source: code for code, source in enumerate(tables.wait_on.tolist()) if source >= 0}
    floor = min(timed.start[item] for item in inside)
    cuts = [
        xs.stop
        if xs
        else next((x for x, item in enumerate(row) if timed.start[item] >= floor), len(row))
        for xs, row in zip(spots, timed.rows, strict=True)
    ]
    later = sorted(
        (
            (timed.start[item], timed.end[item], x, d)
            for d, row in enumerate(timed.rows)
            for x, item in enumerate(row[cuts[d] :], cuts[d])
        ),
        reverse=True,
    )
    way: dict[Pass, int] = {}  # from the start of a later pass to the end of the clock

    def onward(item: Pass, d: int, follower: Pass | None) -> int:
        """From the end of a pass to the end of the clock through what comes later."""
        best = way[follower] if follower is not None else ends[d]
        other = (reader.get(item[0], -1), item[1])
        if other in way:
            best = max(best, way[other] + delay[other[0]])
        return best

    for _, _, x, d in later:
        row = timed.rows[d]
        follower = row[x + 1] if x + 1 < len(row) else None
        way[row[x]] = duration[row[x][0]][row[x][1]] + onward(row[x], d, follower)
    tails: dict[Pass, int] = {}
    constant = 0
    for d, (xs, row, cut) in enumerate(zip(spots, timed.rows, cuts, strict=True)):
        entry = row[cut] if cut < len(row) else None
        tails.update({row[x]: onward(row[x], d, entry) for x in xs})
        before = row[: xs.start] if xs else row[:cut]
        for item in before:
            other = (reader.get(item[0], -1), item[1])
            if other in way:
                constant = max(constant, timed.end[item] + delay[other[0]] + way[other])
        if before and not xs:
            constant = max(constant, timed.end[before[-1]] + (way[entry] if entry else ends[d]))
    return tails, constant


def _limit_memory(
    model: cp_model.CpModel, timed: Timed, device: int, xs: range, start: dict[Pass, Any]
) -> None:
    """What is live on a device stays within its limits while the window lasts.

    Every activation is an interval from its F to the end of its W that holds what it takes; a
    change at B is a second one (from B on if it rises, up to the end of B if it falls).
    """
    tables, row = timed.problem.tables, timed.rows[device]
    here, before = {row[x] for x in xs}, set(row[: xs.start])
    top = 4 * timed.value + 1

    def moment(item: Pass, *, at_end: bool) -> Any:
        if item in here:
            return start[item] + (int(tables.duration[item]) if at_end else 0)
        return 0 if item in before else top

    for measure in range(2):
        limit = int(tables.limits[measure, device])
        if limit >= UNLIMITED:
            continue
        held: list[tuple[Any, Any, int]] = []
        for stage in tables.stages_of[device].tolist():
            f, b, w = 3 * stage, 3 * stage + 1, 3 * stage + 2
            for i in range(timed.problem.n_microbatches):
                kept = int(tables.takes[measure, f, i])
                change = int(tables.takes[measure, b, i] + tables.frees[measure, b, i])
                if (w, i) in before or ((f, i) not in before and (f, i) not in here):
                    continue
                opens, closes = moment((f, i), at_end=False), moment((w, i), at_end=True)
                turn = moment((b, i), at_end=change < 0)
                held.append((opens, closes, min(kept, kept + change)))
                held.append((turn, closes, change) if change > 0 else (opens, turn, -change))
        held = [entry for entry in held if entry[2] > 0]
        intervals = [
            model.new_interval_var(opens, model.new_int_var(0, top, ""), closes, "")
            for opens, closes, _ in held
        ]
        if intervals:
            model.add_cumulative(intervals, [demand for _, _, demand in held], limit)
