"""Which decider answers on a placement, and whether there is time to ask it."""

from __future__ import annotations

from typing import Literal

from . import budget
from .bisection import Bracket, Decide
from .decide_straight import straight_layout
from .layout import Answer
from .problem import BlockProblem

DeciderName = Literal["straight", "v", "any"]

METHOD: dict[DeciderName, str] = {
    "straight": "exact recursion over devices",
    "v": "exact table over devices",
    "any": "modulo scheduling with CP-SAT",
}


def decider_name(problem: BlockProblem) -> DeciderName:
    """Straight if every stage is alone on its device, v if devices hold stages s and 2p-1-s."""
    placement = problem.placement
    if len(placement) == problem.n_devices:
        return "straight"
    is_v = len(placement) == 2 * problem.n_devices and placement == placement[::-1]
    return "v" if is_v else "any"


def decider(bracket: Bracket) -> Decide:
    """How to decide about one microbatch per period on this placement."""
    by = {"straight": by_recursion, "v": by_table}.get(decider_name(bracket.problem))
    return by(bracket) if by else by_solver(bracket, 1)


def by_recursion(bracket: Bracket) -> Decide:
    """The recursion over the devices of a straight pipeline; it takes next to no time."""

    def decide(problem: BlockProblem, period: int) -> Answer:
        bracket.run.effort.played(len(problem.passes))
        return Answer(straight_layout(problem, period), True)

    return decide


def by_table(bracket: Bracket) -> Decide:
    """Tables over the devices of a V, as long as they promise to be done in time."""
    from .decide_v import n_states, v_layout

    seconds_per_state = budget.SECONDS_PER_STATE

    def decide(problem: BlockProblem, period: int) -> Answer:
        nonlocal seconds_per_state
        size = n_states(problem, period)
        if size * seconds_per_state > bracket.left:
            return Answer(None, False)
        start = bracket.run.effort.now()
        answer = v_layout(problem, period, effort=bracket.run.effort)
        if answer is None:
            return Answer(None, False)
        if size > 1_000_000:  # enough to measure it
            measured = (bracket.run.effort.now() - start) / size
            seconds_per_state = max(measured, budget.LEAST_SECONDS_PER_STATE)
        return answer

    return decide


def by_solver(bracket: Bracket, n: int) -> Decide:
    """CP-SAT on n microbatches per period, with a part of the time left for each question."""

    def decide(problem: BlockProblem, period: int) -> Answer:
        from .decide_any import solver_layout

        return solver_layout(
            problem,
            period,
            n,
            time_limit=max(bracket.left * budget.QUESTION, budget.SHORTEST_QUESTION),
            workers=bracket.run.workers,
            seed=bracket.run.seed,
            hint=bracket.layout if bracket.layout.n == n else None,
            effort=bracket.run.effort,
        )

    return decide
