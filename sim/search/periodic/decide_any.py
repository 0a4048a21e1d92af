"""Any placement, any number of microbatches per period: a layout by CP-SAT, or a proof of none.

Each pass gets a phase r in [0, T) and a period K, so that it starts at K T + r. Along the way of a
microbatch, F(0) ... F(S-1) B(S-1) ... B(0), a pass never needs to wait a whole period, so K grows
by what the phase demands: one yes/no per step. On a device one yes/no per pair of passes says whose
phase comes first; with these, what is alive at the start of an F is a linear expression:

    alive of a stage at phase r(x) = K(W) - K(F) + [F first, or x itself] - [W before x]
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ortools.sat.python import cp_model

from ..cp_sat import new_solver, solve
from ..effort import Effort
from .problem import Answer, Layout, Problem

Expr = Any
"""A variable, a number or a linear expression of them, as CP-SAT takes it."""
Key = tuple[str, int, int]
"""Kind, stage, microbatch of the period."""


def solved(
    problem: Problem,
    period: int,
    n: int,
    *,
    time_limit: float,
    workers: int = 1,
    seed: int = 0,
    hint: Layout | None = None,
    effort: Effort | None = None,
) -> Answer:
    """Is there a layout of `n` microbatches per `period`?

    time_limit: seconds of `effort`. hint: a layout (of any period) whose order to try first.
    """
    model = cp_model.CpModel()
    built = _Model(problem, period, n, model)
    built.steps()
    built.devices()
    if problem.limit is not None:
        built.memory()
    if hint is not None:
        built.follow(hint)
    effort = effort or Effort()
    solver = new_solver(seconds=time_limit, workers=workers, seed=seed, effort=effort)
    status = solve(solver, model, effort)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(built.layout(solver), True)
    return Answer(None, status == cp_model.INFEASIBLE)


class _Model:
    def __init__(self, problem: Problem, period: int, n: int, model: cp_model.CpModel) -> None:
        self.problem, self.T, self.n, self.model = problem, period, n, model
        self.n_stages = len(problem.placement)
        self.keys: list[Key] = [
            (kind, s, j) for j in range(n) for s in range(self.n_stages) for kind in "FBW"
        ]
        self.phase = {key: model.new_int_var(0, period - 1, "") for key in self.keys}
        self.round: dict[Key, Expr] = {}
        self.first: dict[tuple[Key, Key], Expr] = {}
        self.spot: dict[Key, Expr] = {}

    def steps(self) -> None:
        """Phases and periods along the way of each microbatch."""
        for j in range(self.n):
            start: Key = ("F", 0, j)
            self.round[start] = 0
            way: list[Key] = [("F", s, j) for s in range(self.n_stages)]
            way += [("B", s, j) for s in reversed(range(self.n_stages))]
            for a, b in pairwise(way):
                self._after(a, b, self._gap(a, b))
            for s in range(self.n_stages):
                self._after(("B", s, j), ("W", s, j), 0)
        self.model.add(self.phase["F", 0, 0] == 0)
        for j in range(1, self.n):
            self.model.add(self.phase["F", 0, j - 1] <= self.phase["F", 0, j])

    def _gap(self, a: Key, b: Key) -> int:
        return self.problem.send[min(a[1], b[1])] if a[1] != b[1] else 0

    def _after(self, a: Key, b: Key, gap: int) -> None:
        whole, part = divmod(self.problem.durations(a[0])[a[1]] + gap, self.T)
        wraps = self.model.new_bool_var("")
        self.model.add(self.phase[b] + self.T * wraps >= self.phase[a] + part)
        self.model.add(self.phase[b] + self.T * wraps <= self.phase[a] + part + self.T - 1)
        period = self.model.new_int_var(0, 4 * self.n_stages * (whole + 1), "")
        self.model.add(period == self.round[a] + wraps + whole)
        self.round[b] = period

    def devices(self) -> None:
        """No two passes of a device overlap modulo the period."""
        for stages in self.problem.stages_of:
            here = [key for key in self.keys if key[1] in stages]
            self._rank([key for key in here if not self.problem.durations(key[0])[key[1]]])
            for i, a in enumerate(here):
                for b in here[i + 1 :]:
                    self._apart(a, b)
                    if a[2] == b[2]:
                        self._in_turn(*sorted((a, b), key=self._place))

    def _rank(self, here: list[Key]) -> None:
        """Passes of a device that take no time are in one order, also those of the same phase."""
        for key in here:
            rank = self.model.new_int_var(0, len(here) - 1, "")
            self.spot[key] = self.phase[key] * len(here) + rank

    def _apart(self, a: Key, b: Key) -> None:
        model, T = self.model, self.T
        x = model.new_bool_var("")
        long_a, long_b = self.problem.durations(a[0])[a[1]], self.problem.durations(b[0])[b[1]]
        model.add(self.phase[b] >= self.phase[a] + long_a).only_enforce_if(x)
        model.add(self.phase[a] + T >= self.phase[b] + long_b).only_enforce_if(x)
        model.add(self.phase[a] >= self.phase[b] + long_b).only_enforce_if(~x)
        model.add(self.phase[b] + T >= self.phase[a] + long_a).only_enforce_if(~x)
        if a in self.spot and b in self.spot:
            model.add(self.spot[b] > self.spot[a]).only_enforce_if(x)
            model.add(self.spot[a] > self.spot[b]).only_enforce_if(~x)
        self.first[a, b], self.first[b, a] = x, 1 - x

    def _place(self, key: Key) -> int:
        """Where a pass stands on the way of its microbatch."""
        kind, s, _ = key
        return s if kind == "F" else 3 * self.n_stages - 2 * s + (kind == "W")

    def _in_turn(self, a: Key, b: Key) -> None:
        """In one period the earlier of two passes of a microbatch comes first, even if neither
        takes time. The W of a stage is not on the way to those below it."""
        if a[0] != "W":
            self.model.add(self.first[a, b] + self.round[b] - self.round[a] >= 1)

    def memory(self) -> None:
        """What is alive just after every rise fits the device."""
        problem, T = self.problem, self.T
        assert problem.limit is not None
        for device, stages in enumerate(problem.stages_of):
            here = [(s, j) for s in stages for j in range(self.n)]
            limit = problem.limit[device]
            events: list[Key] = [("F", s, j) for s, j in here]
            events += [("B", s, j) for s, j in here if problem.change[s] > 0]
            for event in events:
                held: list[Expr] = []
                for s, j in here:
                    f, b, w = ("F", s, j), ("B", s, j), ("W", s, j)
                    ended = self.round[w] - self._before(w, event)
                    held.append(problem.kept[s] * (ended - self.round[f] + self._before(f, event)))
                    if problem.change[s]:
                        turned = ended - self.round[b] + self._before(b, event)
                        held.append(problem.change[s] * turned)
                self.model.add(sum(held) <= limit)
            self.model.add(
                sum(self._area(s, j) for s, j in here) <= limit * T
            )  # implied by the rest, but it speaks about times and so prunes early

    def _before(self, a: Key, event: Key) -> Expr:
        return 1 if a == event else self.first[a, event]

    def _area(self, s: int, j: int) -> Expr:
        problem, T = self.problem, self.T
        f, b, w = ("F", s, j), ("B", s, j), ("W", s, j)
        change = problem.change[s]

        def at(key: Key) -> Expr:
            return self.round[key] * T + self.phase[key]

        turn = at(b) + (problem.backward[s] if change < 0 else 0)
        end = at(w) + problem.weight[s]
        return problem.kept[s] * (end - at(f)) + change * (end - turn)

    def follow(self, hint: Layout) -> None:
        """Try the phases of the hint first, stretched to this period."""
        for kind, s, j in self.keys:
            at = hint.starts(kind)[j][s] % hint.period
            self.model.add_hint(self.phase[kind, s, j], at * self.T // hint.period)

    def layout(self, solver: cp_model.CpSolver) -> Layout:
        def row(kind: str) -> tuple[tuple[int, ...], ...]:
            return tuple(
                tuple(
                    solver.value(self.round[kind, s, j]) * self.T
                    + solver.value(self.phase[kind, s, j])
                    for s in range(self.n_stages)
                )
                for j in range(self.n)
            )

        return Layout(self.T, row("F"), row("B"), row("W"))
