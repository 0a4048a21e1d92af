"""Any placement, any number of microbatches per period: a layout by CP-SAT, or a proof of none.

Each pass gets a phase r in [0, T) and a period K, so that it starts at K T + r. Along the way of a
microbatch, F(0) ... F(S-1) B(S-1) ... B(0), a pass never needs to wait a whole period, so K grows
by what the phase demands: one yes/no per step. On a device one yes/no per pair of passes says whose
phase comes first; with these, what is alive at the start of an F is a linear expression:

    alive of a stage at phase r(x) = K(W) - K(F) + [F first, or x itself] - [W before x]
"""

from __future__ import annotations

from typing import Any

from ortools.sat.python import cp_model

from ...schedule.ir import Op
from ..cp_sat import new_solver, solve
from ..settings.effort import Effort
from .layout import Answer, Layout
from .problem import BlockProblem, dependencies

Expr = Any
"""A variable, a number or a linear expression of them, as CP-SAT takes it."""


def solver_layout(
    problem: BlockProblem,
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
    model = _Model(problem, period, n)
    model.steps()
    model.devices()
    if problem.limit is not None:
        model.memory()
    if hint is not None:
        model.follow(hint)
    effort = effort or Effort()
    solver = new_solver(seconds=time_limit, workers=workers, seed=seed, effort=effort)
    status = solve(solver, model.model, effort)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(model.layout(solver), True)
    return Answer(None, status == cp_model.INFEASIBLE)


class _Model:
    """The constraint model of one question; passes are those of microbatches 0 to n - 1.

    phase, period: r and K of each pass. first[a, b]: whether the phase of a comes before that of b,
    passes of one device. rank: phases of passes that take no time, with their order at one instant.
    """

    def __init__(self, problem: BlockProblem, T: int, n: int) -> None:
        self.problem, self.T, self.n, self.model = problem, T, n, cp_model.CpModel()
        self.passes = [op._replace(microbatch=i) for i in range(n) for op in problem.passes]
        self.phase = {op: self.model.new_int_var(0, T - 1, "") for op in self.passes}
        self.period: dict[Op, Expr] = {}
        self.first: dict[tuple[Op, Op], Expr] = {}
        self.rank: dict[Op, Expr] = {}

    def steps(self) -> None:
        """Phases and periods along the way of each microbatch."""
        start = self.problem.passes[0]
        for i in range(self.n):
            self.period[start._replace(microbatch=i)] = 0
            for writer, reader, send in dependencies(self.problem):
                self._after(writer._replace(microbatch=i), reader._replace(microbatch=i), send)
        self.model.add(self.phase[start] == 0)
        for i in range(1, self.n):
            before, after = start._replace(microbatch=i - 1), start._replace(microbatch=i)
            self.model.add(self.phase[before] <= self.phase[after])

    def _after(self, a: Op, b: Op, send: int) -> None:
        whole, part = divmod(self.problem.duration(a) + send, self.T)
        wraps = self.model.new_bool_var("")
        self.model.add(self.phase[b] + self.T * wraps >= self.phase[a] + part)
        self.model.add(self.phase[b] + self.T * wraps <= self.phase[a] + part + self.T - 1)
        period = self.model.new_int_var(0, 4 * self.problem.n_stages * (whole + 1), "")
        self.model.add(period == self.period[a] + wraps + whole)
        self.period[b] = period

    def devices(self) -> None:
        """No two passes of a device overlap modulo the period."""
        for stages in self.problem.stages_of:
            here = [op for op in self.passes if op.stage in stages]
            self._rank([op for op in here if not self.problem.duration(op)])
            for i, a in enumerate(here):
                for b in here[i + 1 :]:
                    self._apart(a, b)
                    if a.microbatch == b.microbatch and a.kind != "W":
                        self._in_turn(a, b)

    def _rank(self, here: list[Op]) -> None:
        """Passes of a device that take no time are in one order, also those of the same phase."""
        for op in here:
            rank = self.model.new_int_var(0, len(here) - 1, "")
            self.rank[op] = self.phase[op] * len(here) + rank

    def _apart(self, a: Op, b: Op) -> None:
        model, T = self.model, self.T
        a_first = model.new_bool_var("")
        long_a, long_b = self.problem.duration(a), self.problem.duration(b)
        model.add(self.phase[b] >= self.phase[a] + long_a).only_enforce_if(a_first)
        model.add(self.phase[a] + T >= self.phase[b] + long_b).only_enforce_if(a_first)
        model.add(self.phase[a] >= self.phase[b] + long_b).only_enforce_if(~a_first)
        model.add(self.phase[b] + T >= self.phase[a] + long_a).only_enforce_if(~a_first)
        if a in self.rank and b in self.rank:
            model.add(self.rank[b] > self.rank[a]).only_enforce_if(a_first)
            model.add(self.rank[a] > self.rank[b]).only_enforce_if(~a_first)
        self.first[a, b], self.first[b, a] = a_first, 1 - a_first

    def _in_turn(self, a: Op, b: Op) -> None:
        """In one period the earlier of two passes of a microbatch comes first, even if neither
        takes time. The W of a stage is not on the way to those below it."""
        self.model.add(self.first[a, b] + self.period[b] - self.period[a] >= 1)

    def memory(self) -> None:
        """What is alive just after every rise fits the device."""
        problem = self.problem
        assert problem.limit is not None
        for stages, limit in zip(problem.stages_of, problem.limit, strict=True):
            here = [Op("W", s, i) for s in stages for i in range(self.n)]
            events = [self._of(w, "F") for w in here]
            events += [self._of(w, "B") for w in here if problem.change[w.stage] > 0]
            for event in events:
                self.model.add(sum(self._alive(w, event) for w in here) <= limit)
            # implied by the rest, but it speaks about times and so prunes early
            self.model.add(sum(map(self._area, here)) <= limit * self.T)

    def _alive(self, w: Op, event: Op) -> Expr:
        """Units of a stage and microbatch alive at the start of `event`, which takes its own."""
        f, b = self._of(w, "F"), self._of(w, "B")
        ended = self.period[w] - self._begun(w, event)
        alive = self.problem.kept[w.stage] * (ended - self.period[f] + self._begun(f, event))
        if change := self.problem.change[w.stage]:
            alive += change * (ended - self.period[b] + self._begun(b, event))
        return alive

    def _begun(self, op: Op, event: Op) -> Expr:
        return 1 if op == event else self.first[op, event]

    def _area(self, w: Op) -> Expr:
        """Units x ticks that a stage and microbatch occupy."""
        problem, T = self.problem, self.T
        kept, change = problem.kept[w.stage], problem.change[w.stage]

        def at(op: Op) -> Expr:
            return self.period[op] * T + self.phase[op]

        f, b = self._of(w, "F"), self._of(w, "B")
        turn = at(b) + (problem.duration(b) if change < 0 else 0)
        end = at(w) + problem.duration(w)
        return kept * (end - at(f)) + change * (end - turn)

    def _of(self, w: Op, kind: Any) -> Op:
        """The pass of this kind of the same stage and microbatch."""
        return w._replace(kind=kind)

    def follow(self, hint: Layout) -> None:
        """Try the phases of the hint first, stretched to this period."""
        for op, phase in self.phase.items():
            self.model.add_hint(phase, hint.start[op] % hint.period * self.T // hint.period)

    def layout(self, solver: cp_model.CpSolver) -> Layout:
        """What the solver has found."""
        start = {
            op: solver.value(self.period[op]) * self.T + solver.value(phase)
            for op, phase in self.phase.items()
        }
        return Layout(self.T, self.n, start)
