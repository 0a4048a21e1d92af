"""A search from the explorer: the same passes in a better order, and how good one could be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.text import number_text
from ..engine.costs import Costs
from ..engine.simulate import simulate
from ..engine.trace import Trace
from ..families import FAMILIES
from .conditions import Conditions
from .setting import Played

if TYPE_CHECKING:
    from ..search.placement import Placement

PLACEMENTS: dict[str, Placement] = {"straight": "straight", "V": "v", "loop": "loop"}


def better(
    now: Played, *, seconds: float = 30.0, moves: int | None = None
) -> tuple[str, Trace | None]:
    """One sentence on what a search of so many seconds (or moves) found, and its trace.

    ValueError where the setting has what a search does not know, or nothing fits.
    """
    from ..search import search

    at = now.setting
    if at.conditions != Conditions():
        raise ValueError("a search takes equal devices and no levers: put these knobs back first")
    schedule = now.schedule
    if schedule.n_slices > 1:
        raise ValueError(f"a search knows no slices, which {at.family} has")
    times = {name: getattr(at, name) for name in ("forward", "backward", "weight", "send")}
    costs = Costs.uniform(schedule, **times)
    placement = PLACEMENTS[FAMILIES[at.family].placement]
    limit = at.memory_limit if at.memory_limit is not None else now.facts.peak
    found = search(
        at.devices, at.microbatches, costs, placement=placement,
        memory_limit=limit, time_limit=seconds, moves=moves, progress=False,
    )  # fmt: skip
    trace = simulate(found.schedule, costs)
    best, bound = (number_text(time) for time in (found.makespan, found.lower_bound))
    proof = "no order is faster" if found.proven_optimal else f"no order is faster than {bound}"
    return (
        f"Found within {number_text(limit)} shares: makespan {best}, against "
        f"{number_text(now.facts.makespan)} of {at.family}; {proof}. In Python: sim.search.search("
        f"{at.devices}, {at.microbatches}, costs, memory_limit={limit!r}, "
        f"placement={placement!r}).",
        trace,
    )
