"""What a search does to find and to improve orders, as a table: each row can be switched off.

An ablation goes over these rows; results name what made an order in their own words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Method(NamedTuple):
    """A way to find or to improve orders, and what it does in one line."""

    name: str
    does: str


METHODS = {
    method.name: method
    for method in (
        Method("families", "start from the named schedules that keep the limits"),
        Method("rules", "start from list scheduling, by rules that a hill climb improves"),
        Method("warm-ups", "try rules whose warm-up leaves no idle time in a straight pipeline"),
        Method("computed-block", "start from the block with the smallest interval, repeated"),
        Method("unit-blocks", "start from the best block of the paper's shape"),
        Method("lengthening", "look with few microbatches, and repeat the steady state for many"),
        Method("annealing", "move passes along the critical path, sometimes to a worse order"),
        Method("windows", "let the solver rearrange what runs between two moments"),
        Method("exact", "give the solver a small schedule as a whole"),
        Method("tips", "give the last and the first passes of a long schedule to the solver"),
        Method("ends", "improve warm-up and cool-down without most of the steady state between"),
        Method("slot-grid", "blocks by arithmetic alone, for any number of devices"),
        Method("longer-periods", "blocks of several microbatches per period, by the next three"),
        Method("dispatch", "patterns that devices fall into when they use idle time as it comes"),
        Method("climb", "hill climb on the critical cycle of a block"),
        Method("period-solver", "let the solver decide periods of several microbatches"),
    )
}


def left_out(names: Iterable[str]) -> frozenset[str]:
    """The names of methods to do without; ValueError if one is not in the table."""
    chosen = frozenset([names] if isinstance(names, str) else names)
    for name in sorted(chosen - METHODS.keys()):
        raise ValueError(f"no method is called {name!r}: use some of {', '.join(METHODS)}")
    return chosen
