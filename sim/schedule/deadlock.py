"""Why devices would wait for each other for ever: the circle of passes, found by playing orders.

Time plays no part: a device takes the next step of its order as soon as all that the step reads has
been written somewhere. Devices that keep their order get stuck under some timing if and only if
they get stuck this way.
"""

from __future__ import annotations

from typing import NamedTuple

from .dependencies import reads, steps, writes
from .ir import Op, Schedule, Step, Value
from .written import Row, Rows, written_rows


class Wait(NamedTuple):
    """A pass at which a device is stuck, and what it waits for.

    writer: the pass that would write it; None if no device runs such a pass.
    behind: the pass at which the writer's device is stuck, and which `writer` comes after.
    """

    device: int
    position: int
    op: Op
    value: Value
    writer: Op | None
    behind: Op | None

    def __str__(self) -> str:
        if self.writer is None:
            return f"{self.op} waits for {self.value}, which no pass writes"
        behind = "" if self.behind in (None, self.writer) else f", which comes after {self.behind}"
        return f"{self.op} waits for {self.writer}{behind}"


def waiting_cycle(schedule: Schedule) -> tuple[Wait, ...]:
    """The passes that wait for each other, the last for the first; () if every device finishes.

    A single entry may also be a pass whose input nobody writes. Linear in the passes, without
    recursion.
    """
    stuck = _stuck(schedule)
    homes = {
        value: (device, op)
        for device, order in enumerate(schedule.orders if stuck else ())
        for op in order
        for value in writes(schedule, op)
    }
    # Every stuck device waits for one value: follow that until a device comes round again.
    trail: list[Wait] = []
    seen: dict[int, int] = {}
    device = min(stuck, default=-1)
    while device >= 0 and device not in seen:
        seen[device] = len(trail)
        position, op, value = stuck[device]
        home, writer = homes.get(value, (-1, None))
        behind = stuck[home][1] if home in stuck else None
        trail.append(Wait(device, position, op, value, writer, behind))
        device = home
    return tuple(trail[seen[device] :] if device in seen else trail[-1:])


def _stuck(schedule: Schedule) -> dict[int, tuple[int, Op, Value]]:
    """For each device that cannot finish: where it stops, at which pass, and the value it lacks."""
    rows, variants = written_rows(schedule), schedule.variants
    to_do = [steps(schedule, device) for device in range(schedule.n_devices)]
    now = [next(order, ()) for order in to_do]
    position = [0] * schedule.n_devices
    ready = list(range(schedule.n_devices))
    others: dict[tuple[int, int], list[int]] = {}  # further devices that wait for a value
    while ready:
        device = ready.pop()
        while step := now[device]:
            if lack := _lack(step, rows, variants):
                row, microbatch = lack
                if row[microbatch]:
                    others.setdefault((id(row), microbatch), []).append(device)
                else:
                    row[microbatch] = _AWAITED + device
                break
            for kind, stage, microbatch, part in step:
                variant = (variants.get((stage, microbatch, part)),) if variants else ()
                for row in rows(kind, stage, part, *variant)[1]:
                    if row[microbatch] >= _AWAITED:
                        ready.append(row[microbatch] - _AWAITED)
                        ready += others.pop((id(row), microbatch), ())
                    row[microbatch] = _WRITTEN
            position[device] += len(step)
            now[device] = next(to_do[device], ())
    return {
        device: _first_lack(schedule, step, position[device], rows)
        for device, step in enumerate(now)
        if step
    }


Variants = dict[tuple[int, int, int], object]
_WRITTEN, _AWAITED = 1, 2
"""Marks of a value; beyond the second one, by how much tells which device waits for it."""


def _lack(step: Step, rows: Rows, variants: Variants) -> tuple[Row, int] | None:
    """The first value that a step reads and nobody has written yet, nor an R of the step."""
    for kind, stage, microbatch, part in step:
        variant = (variants.get((stage, microbatch, part)),) if variants else ()
        for row in rows(kind, stage, part, *variant)[0]:
            if row[microbatch] != _WRITTEN:
                if len(step) > 1 and variant and _rebuilt(row, microbatch, step, rows, variants):
                    continue
                return row, microbatch
    return None


def _rebuilt(row: Row, microbatch: int, step: Step, rows: Rows, variants: Variants) -> bool:
    """Whether an R of a step, which comes before its backward, rebuilds that value."""
    made = (
        rows("R", op.stage, op.slice, variants.get(op[1:]))[1][0]
        for op in step
        if op.kind == "R" and op.microbatch == microbatch
    )
    return any(row is other for other in made)


def _first_lack(schedule: Schedule, step: Step, position: int, rows: Rows) -> tuple[int, Op, Value]:
    made = {value for op in step if op.kind == "R" for value in writes(schedule, op)}
    return next(
        (position + offset, op, value)
        for offset, op in enumerate(step)
        for value, row in zip(
            reads(schedule, op),
            rows(
                op.kind,
                op.stage,
                op.slice,
                *((schedule.variants.get(op[1:]),) if schedule.variants else ()),
            )[0],
            strict=True,
        )
        if row[op.microbatch] != _WRITTEN and value not in made
    )
