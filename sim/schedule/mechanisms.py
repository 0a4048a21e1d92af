"""What a schedule has beyond a chain of stages that are all trained, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..base.text import plural, ranges

if TYPE_CHECKING:
    from .ir import Schedule


def mechanisms(schedule: Schedule) -> tuple[str, ...]:
    """What not everything that takes a schedule can handle, a clause each; () if it has nothing.

    >>> from dataclasses import replace
    >>> from sim import FAMILIES
    >>> mechanisms(replace(FAMILIES["1f1b"](3, 4), trains=("nothing", "nothing", "weights")))
    ('stages 0-1 train nothing',)
    """
    found = []
    if schedule.routes:
        found.append(f"microbatches take {len(schedule.routes) + 1} routes")
    if schedule.vocabulary:
        n = schedule.vocabulary
        found.append(f"all devices share the vocabulary, {plural(n, 'barrier')}")
    for trained, what in (("adapters", "adapters alone"), ("nothing", "nothing")):
        stages = [stage for stage, word in enumerate(schedule.trains) if word == trained]
        found += [_clause(stages, "train", what)] if stages else []
    recomputed = {where[0] for where, lever in schedule.levers.items() if lever == "R"}
    if recomputed:
        found.append(_clause(recomputed, "recompute", "activations"))
    copied = {where[0] for where, lever in schedule.levers.items() if lever == "O"}
    if copied:
        stores = {
            schedule.store(device)
            for device, order in enumerate(schedule.orders)
            if any(getattr(op, "kind", None) == "O" for op in order)
        }
        to = "host memory" if None in stores else "other devices"
        found.append(_clause(copied, "offload", f"activations to {to}"))
    return tuple(found)


def refuse_mechanisms(schedule: Schedule, what: str, fix: str = "") -> None:
    """ValueError that says what `what` cannot handle, if `schedule` has any such thing.

    fix: what to do instead.
    """
    if found := mechanisms(schedule):
        then = f": {fix}" if fix else ""
        raise ValueError(f"in {schedule.name} {found[0]}, which {what} cannot do{then}")


def _clause(stages: Iterable[int], verb: str, what: str) -> str:
    known = {stage for stage in stages if isinstance(stage, int)}
    many = len(known) > 1
    return f"stage{'s' * many} {ranges(known)} {verb}{'s' * (not many)} {what}"
