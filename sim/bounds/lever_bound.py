"""What no choice of levers and no order of the passes can beat, under a limit on memory.

>>> from sim import FAMILIES, Costs
>>> schedule = FAMILIES["zb-v"](4, 16)
>>> costs = Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1)
>>> for levers in ((), ("recompute",)):
...     bound = bound_with_levers(schedule, costs, levers=levers, memory_limit=1)
...     print(levers, f"{bound:.1f}")
() 975.0
('recompute',) 576.7
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..base.numbers import Number
from ..engine.costs import Costs
from ..engine.costs_fit import fits
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from .lever_memory import best_of_memory, least_interval, with_choice
from .lower_bound import lower_bound, steady_interval


def bound_with_levers(
    schedule: Schedule,
    costs: Costs,
    *,
    levers: Collection[str],
    clock: Clock = "makespan",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """A lower bound on `clock` for any order of the passes of `schedule` to which R, O and L are
    added wherever `levers` ("recompute", "offload") allow; limits as for `lower_bound`.

    Levers only add passes, so what holds of F, B and W without a limit holds with levers too. With
    a limit, `lever_memory.memory_bounds` says what each choice costs.
    """
    fits(costs, schedule)
    limits = {"memory_limit": memory_limit, "memory_bytes": memory_bytes}
    if not levers:
        return lower_bound(schedule, costs, clock=clock, **limits)  # type: ignore[arg-type]
    known = lower_bound(schedule, costs, clock=clock)
    case = with_choice(schedule, costs, levers)
    if case is None:
        return known
    return max(known, best_of_memory(case, schedule, costs, clock, memory_limit, memory_bytes))


def interval_with_levers(
    schedule: Schedule,
    costs: Costs,
    *,
    levers: Collection[str],
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """A lower bound on the time per microbatch of any endless repetition with these levers: over a
    long time `span_with_levers` holds for the mean of all microbatches."""
    known = steady_interval(schedule, costs)
    case = with_choice(schedule, costs, levers)
    if case is None:
        return known
    return max(known, least_interval(case, schedule, costs, memory_limit, memory_bytes))
