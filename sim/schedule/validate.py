"""Is a schedule runnable? `validate` raises for the first broken rule of `sim.schedule.rules`.

    >>> from sim.schedule.ir import Op, Schedule
    >>> order = Op("BW", stage=0, microbatch=0), Op("F", stage=0, microbatch=0)
    >>> backwards = Schedule(placement=(0,), orders=(order,), n_microbatches=1, name="oops")
    >>> validate(backwards)
    Traceback (most recent call last):
        ...
    sim.schedule.validate.InvalidSchedule: oops: device 0, position 0: BW0@0 comes before F0@0, \
whose output it reads
    oops: 1 device, 1 stage, 1 microbatch
    device 0 | >BW0< F0
"""

from __future__ import annotations

from collections.abc import Sequence

from ..base.gc_pause import gc_pause
from ..base.numbers import checked_type
from .ir import Schedule, mechanisms
from .rules import RULES, Rule
from .text import grid
from .violations import Violation


class InvalidSchedule(ValueError):
    """Nothing could run this schedule; `str` is one sentence, then the grid around the spot."""

    def __init__(self, schedule: Schedule, violation: Violation) -> None:
        super().__init__(schedule, violation)
        self.schedule = schedule
        self.rule, self.device, self.position, self.op = violation

    @property
    def sentence(self) -> str:
        """Schedule, device, position and the broken rule, without the grid."""
        spot = "" if self.device is None else f" device {self.device}:"
        if self.position is not None:
            spot = f" device {self.device}, position {self.position}:"
        return f"{self.schedule.name}:{spot} {self.rule}"

    def __str__(self) -> str:
        if self.device is None or not 0 <= self.device < self.schedule.n_devices:
            mark = (-1, 0)
        elif self.position is None:
            mark = (self.device, len(self.schedule.orders[self.device]))
        else:
            mark = (self.device, self.position)
        return f"{self.sentence}\n{grid(self.schedule, mark=mark)}"


@gc_pause()
def validate(schedule: Schedule, *, rules: Sequence[Rule] = RULES) -> None:
    """InvalidSchedule for the first of the `rules` that `schedule` breaks; else None."""
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    # Nothing in a schedule can change, so what held once is not looked at again: kept beside its
    # cached properties.
    held: set[Rule] = vars(schedule).setdefault("_held", set())
    for rule in rules:
        if rule in held:
            continue
        if violation := rule(schedule):
            raise InvalidSchedule(schedule, violation)
        held.add(rule)


def refuse_mechanisms(schedule: Schedule, what: str, fix: str = "") -> None:
    """ValueError that says what `what` cannot handle, if `schedule` has any such thing.

    fix: what to do instead.
    """
    if found := mechanisms(schedule):
        then = f": {fix}" if fix else ""
        raise ValueError(f"in {schedule.name} {found[0]}, which {what} cannot do{then}")
