"""Times that no block can beat: the work of the busiest device, and memory x time."""

from __future__ import annotations

from fractions import Fraction

from .problem import BlockProblem


def chain_length(problem: BlockProblem) -> int:
    """Ticks of one microbatch all alone, every W right after its B: a period that always works."""
    return (
        sum(problem.forward) + sum(problem.backward) + sum(problem.weight) + 2 * sum(problem.send)
    )


def work_bound(problem: BlockProblem) -> int:
    """Ticks per microbatch that the busiest device needs for its passes."""
    return problem.most_work


def memory_bound(problem: BlockProblem) -> Fraction:
    """Ticks per microbatch below which the memory limit cannot be kept, by any order.

    Between the start of F(s) and the end of W(s) lie all passes and sends of the stages after s, so
    a microbatch occupies its device for at least the area units x ticks of that span. Over a long
    time the areas of all microbatches, one per interval, fit under the limit: interval x limit >=
    area (Little's law).
    """
    if problem.limit is None:
        return Fraction(0)
    bound = Fraction(0)
    for device in range(problem.n_devices):
        area = sum(area_of(problem, s, least_loop(problem, s)) for s in problem.stages_of[device])
        if area:
            bound = max(bound, Fraction(area, problem.limit[device]))
    return bound


def least_loop(problem: BlockProblem, stage: int) -> int:
    """Ticks from the start of F(stage) to the start of its B, at least."""
    return (
        sum(problem.forward[stage:])
        + sum(problem.backward[stage + 1 :])
        + 2 * sum(problem.send[stage:])
    )


def area_of(problem: BlockProblem, stage: int, loop: int) -> int:
    """Units x ticks a microbatch occupies at `stage` if its B starts `loop` ticks after its F."""
    kept, change = problem.kept[stage], problem.change[stage]
    before = loop if change >= 0 else loop + problem.backward[stage]
    after = problem.weight[stage] + (problem.backward[stage] if change >= 0 else 0)
    return kept * before + (kept + change) * after
