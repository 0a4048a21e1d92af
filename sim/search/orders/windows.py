"""Improve an order by constraint programming inside windows of time, proving what it can.

Between two moments the passes of all devices may run in any order; before and after, the order
stays. What comes before is a fixed picture. What comes after shrinks to numbers: how much time
passes from each pass in the window to the end of the schedule. So a model holds the window's
passes alone, and a window over the whole schedule is the exact problem.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..compiled import Ints
from ..effort import Effort
from .problem import UNLIMITED, Letters, Problem
from .replay import clocks, fits_memory

SECONDS_PER_PASS = 1e-5
"""What writing down the model of a window takes for each pass of the order."""
Pass = tuple[int, int]
"""(letter, microbatch)"""


class Improved(NamedTuple):
    """What one window gave: an order at least as good, its value, and a bound if it was whole.

    bound: no order that keeps what lies outside the window is better. proven: bound = value.
    """

    letters: Letters
    value: int
    bound: int
    proven: bool


def window(
    problem: Problem,
    letters: Letters,
    *,
    low: int = 0,
    high: int = UNLIMITED,
    seconds: float = 5,
    workers: int = 2,
    seed: int = 0,
    bound: int = 0,
    fence: tuple[Ints, Ints] | None = None,
    effort: Effort | None = None,
) -> Improved:
    """The best order that differs from `letters` only in passes running between `low` and `high`.

    seconds: of wall time or of `effort`, a clock that can count work, so that equal calls give
    equal answers. bound: a known lower bound on the clock, in ticks of the problem. fence:
    positions on each device that may change, from the first on and before the second.
    """
    picture = _Picture(problem, letters)
    free = [
        [x for x in range(len(row)) if picture.end[row[x]] > low and picture.start[row[x]] < high]
        for row in picture.rows
    ]
    free = [list(range(xs[0], xs[-1] + 1)) if xs else [] for xs in free]
    if fence is not None:
        free = [[x for x in xs if fence[0][d] <= x < fence[1][d]] for d, xs in enumerate(free)]
    if sum(map(len, free)) < 2:
        return Improved(letters, picture.value, 0, False)
    effort = effort or Effort()
    effort.worked(SECONDS_PER_PASS * letters.size)
    found = _solved(picture, free, seconds, workers, seed, bound, effort)
    if found is None:
        return Improved(letters, picture.value, 0, False)
    order, limit, proven = found
    after = _Picture(problem, order).value
    kept = all(
        fits_memory(order[d], problem.takes, problem.frees, problem.limits, d)
        for d in range(problem.n_devices)
    )
    if not kept or after > picture.value:
        return Improved(letters, picture.value, limit, False)
    return Improved(order, after, limit, proven)


class _Picture:
    """An order with its times: rows of passes, their start and end, and the clock."""

    def __init__(self, problem: Problem, letters: Letters) -> None:
        self.problem, self.letters = problem, letters
        end = np.zeros((problem.duration.size, problem.n_microbatches), np.int64)
        both = clocks(
            letters, problem.n_microbatches, problem.duration, problem.wait_on, problem.delay,
            problem.near, end, np.zeros_like(end),
        )  # fmt: skip
        self.value = int(both[problem.clock == "longest_stage"])
        self.rows: list[list[Pass]] = []
        self.end: dict[Pass, int] = {}
        self.start: dict[Pass, int] = {}
        duration = problem.duration.tolist()
        ends = end.tolist()
        for row in letters.tolist():
            seen: dict[int, int] = {}
            passes = []
            for letter in row:
                i = seen[letter] = seen.get(letter, -1) + 1
                passes.append((letter, i))
                self.end[letter, i] = ends[letter][i]
                self.start[letter, i] = ends[letter][i] - duration[letter]
            self.rows.append(passes)


def _solved(
    picture: _Picture,
    free: list[list[int]],
    seconds: float,
    workers: int,
    seed: int,
    bound: int,
    effort: Effort,
) -> tuple[Letters, int, bool] | None:
    from ortools.sat.python import cp_model

    from ..cp_sat import new_solver, solve

    q = picture.problem
    duration, delay = q.duration.tolist(), q.delay.tolist()
    model = cp_model.CpModel()
    last = picture.value
    first_x = [xs[0] if xs else -1 for xs in free]
    inside: set[Pass] = {picture.rows[d][x] for d, xs in enumerate(free) for x in xs}
    tails, constant = _tails(picture, free, inside)
    start: dict[Pass, Any] = {}
    for d, xs in enumerate(free):
        row = picture.rows[d]
        earliest = picture.end[row[first_x[d] - 1]] if xs and first_x[d] > 0 else 0
        for x in xs:
            item = row[x]
            low = earliest
            high = last if x > 0 else picture.start[item]
            source = int(q.wait_on[item[0]])
            if source >= 0 and (source, item[1]) not in inside:
                low = max(low, picture.end[source, item[1]] + delay[item[0]])
            start[item] = model.new_int_var(low, max(low, high), "")
            model.add_hint(start[item], picture.start[item])
    for item in inside:
        letter, i = item
        source = int(q.wait_on[letter])
        if source >= 0 and (source, i) in inside:
            model.add(start[item] >= start[source, i] + duration[source] + delay[letter])
        for other in (int(q.near[letter, 0]), int(q.near[letter, 1])):
            if other >= 0 and (other, i) in inside:
                model.add(start[item] >= start[other, i] + duration[other])
        if (letter, i + 1) in inside:
            model.add(start[letter, i + 1] >= start[item] + duration[letter])
    for xs, row in zip(free, picture.rows, strict=True):
        model.add_no_overlap(
            [
                model.new_fixed_size_interval_var(start[row[x]], duration[row[x][0]], "")
                for x in xs
                if duration[row[x][0]] > 0
            ]
        )
    for d, xs in enumerate(free):
        if xs:
            _limit_memory(model, picture, d, xs, start)
    clock = model.new_int_var(min(max(bound, constant), last), last, "clock")
    for item, tail in tails.items():
        model.add(clock >= start[item] + duration[item[0]] + tail)
    model.minimize(clock)
    solver = new_solver(seconds=seconds, workers=workers, seed=seed, effort=effort)
    status = solve(solver, model, effort)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    rows = []
    for d, xs in enumerate(free):
        row = picture.rows[d]
        inner = sorted(
            (row[x] for x in xs),
            key=lambda item: (
                solver.value(start[item]),
                duration[item[0]] > 0,
                item[0] % 3,
                item[1],
            ),
        )
        done = _in_order(inner, q)
        head = row[: xs[0]] if xs else row
        rows.append(head + done + (row[xs[-1] + 1 :] if xs else []))
    order = np.array([[letter for letter, _ in row] for row in rows], np.int32)
    return order, math.ceil(solver.best_objective_bound - 1e-6), status == cp_model.OPTIMAL


def _in_order(items: list[Pass], problem: Problem) -> list[Pass]:
    """Passes that start together (some take no time) put so that none comes before its input."""
    rest, done, placed = list(items), [], set[Pass]()
    here = set(items)
    while rest:
        for k, (letter, i) in enumerate(rest):
            needed = [(int(a), i) for a in problem.near[letter] if a >= 0] + [(letter, i - 1)]
            if all(item in placed or item not in here for item in needed):
                placed.add((letter, i))
                done.append(rest.pop(k))
                break
        else:
            return done + rest
    return done


def _tails(
    picture: _Picture, free: list[list[int]], inside: set[Pass]
) -> tuple[dict[Pass, int], int]:
    """Time from the end of each pass in the window to the end of the clock, and a floor for it.

    What comes after the window is played backwards. On the `longest_stage` clock a device's end
    counts from its beginning, which is known: its first pass is the forward of microbatch 0 on its
    first stage, and that starts when it arrives.
    """
    q = picture.problem
    duration, delay = q.duration.tolist(), q.delay.tolist()
    longest = q.clock == "longest_stage"
    ends = [-picture.start[row[0]] if longest else 0 for row in picture.rows]
    reader = {source: letter for letter, source in enumerate(q.wait_on.tolist()) if source >= 0}
    floor = min(picture.start[item] for item in inside)
    cuts = [
        xs[-1] + 1
        if xs
        else next((x for x, item in enumerate(row) if picture.start[item] >= floor), len(row))
        for xs, row in zip(free, picture.rows, strict=True)
    ]
    later = sorted(
        (
            (picture.start[item], picture.end[item], x, d)
            for d, row in enumerate(picture.rows)
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
        row = picture.rows[d]
        follower = row[x + 1] if x + 1 < len(row) else None
        way[row[x]] = duration[row[x][0]] + onward(row[x], d, follower)
    tails: dict[Pass, int] = {}
    constant = 0
    for d, (xs, row, cut) in enumerate(zip(free, picture.rows, cuts, strict=True)):
        entry = row[cut] if cut < len(row) else None
        tails.update({row[x]: onward(row[x], d, entry) for x in xs})
        before = row[: xs[0]] if xs else row[:cut]
        for item in before:
            other = (reader.get(item[0], -1), item[1])
            if other in way:
                constant = max(constant, picture.end[item] + delay[other[0]] + way[other])
        if before and not xs:
            constant = max(constant, picture.end[before[-1]] + (way[entry] if entry else ends[d]))
    return tails, constant


def _limit_memory(
    model: Any, picture: _Picture, device: int, xs: list[int], start: dict[Pass, Any]
) -> None:
    """What is live on a device stays within its limits while the window lasts.

    Every activation is an interval from its F to the end of its W that holds what it takes; a
    change at B is a second one (from B on if it rises, up to the end of B if it falls).
    """
    q, row = picture.problem, picture.rows[device]
    here, before = {row[x] for x in xs}, set(row[: xs[0]])
    top = 4 * picture.value + 1

    def moment(item: Pass, *, at_end: bool) -> Any:
        if item in here:
            return start[item] + (int(q.duration[item[0]]) if at_end else 0)
        return 0 if item in before else top

    for measure in range(2):
        limit = int(q.limits[measure, device])
        if limit >= UNLIMITED:
            continue
        held: list[tuple[Any, Any, int]] = []
        for stage in q.stages_of[device].tolist():
            f, b, w = 3 * stage, 3 * stage + 1, 3 * stage + 2
            kept = int(q.takes[measure, f])
            change = int(q.takes[measure, b] + q.frees[measure, b])
            for i in range(q.n_microbatches):
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
