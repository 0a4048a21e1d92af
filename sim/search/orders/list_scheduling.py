"""List scheduling by rules, and a search for the rules: the first orders, thousands per second.

A rule set says how many microbatches each chunk of each device may have alive, which ready pass
goes first, and when a device fills a gap with W. The orders it makes are periodic by themselves,
so changing one number moves the whole steady state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled import compiled
from ..settings import budget
from ..settings.run_options import RunOptions
from .problem import Order, OrderProblem, OrderTables
from .replay import replayed
from .rules import Rules, mutated, sweep

KEPT = 8
"""How many orders the hill climb goes on from."""
NEVER = 2**61
LAST_RANK = 2**30


class Listed(NamedTuple):
    """What rules make: an order, its value in ticks, and the sum of the ends of all its passes."""

    order: Order
    rules: Rules
    value: int
    ends: int

    @property
    def score(self) -> tuple[int, int]:
        return self.value, self.ends


def listed(problem: OrderProblem, rules: Rules) -> Listed | None:
    """The order that `rules` make, or None if they get stuck."""
    order = np.zeros((problem.n_devices, problem.n_ops // problem.n_devices), np.int32)
    if not list_order(problem.tables, rules, order):
        return None
    found = replayed(problem, order)
    return Listed(order, rules, found.value, int(found.end.sum()))


def list_scheduled(
    problem: OrderProblem, *, seconds: float, target: int = 0, run: RunOptions | None = None
) -> list[Listed]:
    """Good orders found by a sweep over simple rules and a hill climb on the best of them.

    Best first; empty if no rules get through. Stops early at `target` (a lower bound).
    """
    run = run or RunOptions()
    effort, rng = run.effort, np.random.default_rng(run.seed)
    climb_at = effort.now() + budget.SWEEP * seconds
    until = effort.now() + seconds
    work = budget.PLAYS_PER_RULED_PASS * problem.n_ops + budget.PLAYS_PER_RULES
    best: list[Listed] = []
    for rules in sweep(problem, run.without):
        effort.played(work)
        if found := listed(problem, rules):
            best.append(found)
            if found.value <= target:
                break
        if effort.now() > climb_at and best:
            break
    best = sorted(best, key=lambda found: found.score)[:KEPT]
    while best and effort.now() < until and best[0].value > target:
        which = min(int(rng.exponential(2)), len(best) - 1)
        changed = mutated(best[which].rules, rng)
        effort.played(work)
        new = listed(problem, changed)
        if new and new.score <= best[which].score:
            best[which] = new
            best.sort(key=lambda found: found.score)
    return best


@compiled
def list_order(tables: OrderTables, rules: Rules, order: Order) -> bool:
    """Fill `order` in order of time by fixed rules; False if they get stuck."""
    device_of, stages_of, duration, wait_on, delay, near, takes, frees, limits = tables
    alive, ahead, rank, patience, courtesy, backlog = rules
    (p, length), chunks, n_codes = order.shape, stages_of.shape[1], len(duration)
    m = length // (3 * chunks)
    reader = np.full(n_codes, -1)  # the code on another device that reads a code
    for code in range(n_codes):
        if wait_on[code] >= 0:
            reader[wait_on[code]] = code
    runs, end = np.zeros(n_codes, np.int64), np.full((n_codes, m), -1)
    position, live = np.zeros(p, np.int64), np.zeros((2, p), np.int64)
    free, wake = np.zeros(p, np.int64), np.zeros(p, np.int64)  # when done, when to look again
    due = np.zeros((p, chunks * m), np.int64)  # W of each device, in the order of their B
    n_due, n_done = np.zeros(p, np.int64), np.zeros(p, np.int64)
    left = p * length
    while left > 0:
        # the device that looks first, and its phase
        d, now = -1, np.int64(NEVER)
        for e in range(p):
            if wake[e] < now:
                d, now = e, wake[e]
        if d < 0:
            return False
        g = 1
        if runs[3 * stages_of[d, 0]] >= m:
            g = 2
        elif runs[3 * stages_of[d, chunks - 1] + 1] == 0:
            g = 0

        # of all F and B the best that is ready and the soonest that is on its way, and whether one
        # is ready that must not run, for its memory
        best, best_rank = np.int64(-1), np.int64(LAST_RANK)
        soon, soon_rank, soon_at = np.int64(-1), np.int64(LAST_RANK), np.int64(NEVER)
        starved = False
        for c in range(chunks):
            for kind in range(2):
                code = 3 * stages_of[d, c] + kind
                i = runs[code]
                if i >= m:
                    continue
                a, b, source, at = near[code, 0], near[code, 1], wait_on[code], np.int64(0)
                if (a >= 0 and runs[a] <= i) or (b >= 0 and runs[b] <= i):
                    continue
                if source >= 0:
                    if runs[source] <= i:
                        continue
                    at = end[source, i] + delay[code]
                if kind == 0 and i - runs[code + 1] >= ahead[g, d, c]:
                    continue
                if (
                    (kind == 0 and i - runs[code + 2] >= alive[g, d, c])
                    or live[0, d] + takes[0, code, i] > limits[0, d]
                    or live[1, d] + takes[1, code, i] > limits[1, d]
                ):
                    starved = starved or bool(at <= now)
                    continue
                r = rank[g, d, 2 * c + kind]
                if at <= now:
                    if r < best_rank:
                        best, best_rank = code, r
                elif at < soon_at or (at == soon_at and r < soon_rank):
                    soon, soon_rank, soon_at = code, r, at

        # the best gives way to a better one that comes soon; W fills what would be idle time, or
        # runs at once if too many are due
        wait = 1000 * (soon_at - now) if soon >= 0 else np.int64(NEVER)
        gives_way = best >= 0 and soon_rank < best_rank
        if gives_way and wait < courtesy[g, d] * duration[best, runs[best]]:
            best = np.int64(-1)
        pending = n_due[d] - n_done[d]
        if pending > 0:
            w = due[d, n_done[d]]
            idle = best < 0 and (starved or wait >= patience[g, d] * duration[w, runs[w]])
            if idle or pending >= backlog[g, d]:
                best = w
        if best < 0:
            wake[d] = soon_at
            continue

        # it runs, and the device that gets the result looks when that arrives
        i = runs[best]
        finish = now + duration[best, i]
        end[best, i] = finish
        runs[best] = i + 1
        order[d, position[d]] = best
        position[d] += 1
        left -= 1
        free[d] = finish
        wake[d] = finish if position[d] < length else NEVER
        for measure in range(2):
            live[measure, d] += takes[measure, best, i] + frees[measure, best, i]
        if best % 3 == 1:
            due[d, n_due[d]] = best + 1
            n_due[d] += 1
        elif best % 3 == 2:
            n_done[d] += 1
        into = reader[best]
        if into >= 0:
            e = device_of[into // 3]
            if position[e] < length:
                wake[e] = min(wake[e], max(finish + delay[into], free[e]))
    return True
