"""What a pipeline schedule is: passes, the values they exchange, and their order on each device.

A schedule holds **no times, no tensors and no sends**. Times come from `Costs`, tensors from the
backend, and a transfer is implied wherever the writer and the reader of a value sit on different
devices. `reads` and `writes` state the dependencies once; the validator, the engine, the compiled
evaluator, the backend and the exporters all call them.

    >>> one = Op("F", stage=0, microbatch=0), Op("BW", stage=0, microbatch=0)
    >>> schedule = Schedule(placement=(0,), orders=(one,), n_microbatches=1, name="tiny")
    >>> print(schedule)
    tiny: 1 device, 1 stage, 1 microbatch
    device 0 | F0 BW0
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from ..base.json_text import parsed, shown
from ..base.numbers import checked_type, native

Kind = Literal["F", "B", "W", "BW"]
ValueKind = Literal[
    "activation", "saved", "cache", "gradient", "pending", "cache_gradient", "weight_gradient"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
JSON_FORMAT = "pipebubble.schedule/1"


class Op(NamedTuple):
    """One pass: what a device does with one microbatch (or one slice of it) on one stage.

    The kinds are the letters of the zero-bubble papers: F forward, B *input* gradient, W weight
    gradient, BW both backward passes fused. (torch writes I for our B, and B for our BW.)
    `str(op)` is `F3@5`: forward of microbatch 3 on stage 5; slice 1 of it is `F3.1@5`.
    """

    kind: Kind
    stage: int
    microbatch: int
    slice: int = 0

    def __str__(self) -> str:
        part = f".{self.slice}" if self.slice else ""
        return f"{self.kind}{self.microbatch}{part}@{self.stage}"


class Value(NamedTuple):
    """Something one pass leaves for another: see `reads` and `writes`."""

    kind: ValueKind
    stage: int
    microbatch: int
    slice: int = 0

    def __str__(self) -> str:
        part = f".{self.slice}" if self.slice else ""
        return f"{self.kind} of {self.microbatch}{part}@{self.stage}"


Step = tuple[Op, ...]


@dataclass(frozen=True)
class Schedule:
    """Where every stage lives and in which order each device runs its passes.

    placement: device of each stage, shape `(n_stages,)`.
    orders: the passes of each device in execution order, shape `(n_devices, any)`.
    n_microbatches, n_slices: how many microbatches, and slices of a sequence in each of them.
    fused: runs of neighbouring passes that a device executes as **one atomic step**: it waits for
        the inputs of all of them, and all outputs appear at its end (DualPipe's forward-backward
        pairs, 2BP's weight gradient over several microbatches).
    name: what people call it.

    Frozen and hashable. Building one checks nothing: `validate` does, so that broken schedules can
    be shown and explained.
    """

    placement: tuple[int, ...]
    orders: tuple[tuple[Op, ...], ...]
    n_microbatches: int
    n_slices: int = 1
    fused: tuple[Step, ...] = ()
    name: str = "schedule"

    def __post_init__(self) -> None:
        # A numpy integer means the int it equals, which JSON can hold.
        object.__setattr__(self, "placement", tuple(map(native, self.placement)))
        object.__setattr__(self, "n_microbatches", native(self.n_microbatches))
        object.__setattr__(self, "n_slices", native(self.n_slices))
        object.__setattr__(self, "orders", tuple(tuple(order) for order in self.orders))
        object.__setattr__(self, "fused", tuple(sorted(tuple(step) for step in self.fused)))

    @property
    def n_devices(self) -> int:
        return len(self.orders)

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @property
    def n_ops(self) -> int:
        return sum(len(order) for order in self.orders)

    @cached_property
    def stages_of(self) -> tuple[tuple[int, ...], ...]:
        """The stages of each device, ascending: chunk 0, chunk 1, ..."""
        held: dict[int, list[int]] = {device: [] for device in range(self.n_devices)}
        for stage, device in enumerate(self.placement):
            held.setdefault(device, []).append(stage)
        return tuple(tuple(held[device]) for device in range(self.n_devices))

    def __str__(self) -> str:
        return grid(self)


def reads(schedule: Schedule, op: Op) -> tuple[Value, ...]:
    """The values that must be on the device before `op` can start.

    F reads the activation of the stage before, and of an earlier slice its keys and values.
    B and BW read what their F saved, the gradient of the stage after, and of a later slice the
    gradient of its keys and values. W reads what its B left pending.
    """
    kind, stage, microbatch, part = op
    if kind == "F":
        found = []
        if stage > 0:
            found.append(Value("activation", stage - 1, microbatch, part))
        if part > 0:
            found.append(Value("cache", stage, microbatch, part - 1))
        return tuple(found)
    if kind == "W":
        return (Value("pending", stage, microbatch, part),)
    found = [Value("saved", stage, microbatch, part)]
    if stage < schedule.n_stages - 1:
        found.append(Value("gradient", stage + 1, microbatch, part))
    if part < schedule.n_slices - 1:
        found.append(Value("cache_gradient", stage, microbatch, part + 1))
    return tuple(found)


def writes(schedule: Schedule, op: Op) -> tuple[Value, ...]:
    """The values that exist from the end of `op` on; the mirror of `reads`."""
    kind, stage, microbatch, part = op
    if kind == "F":
        found = [Value("saved", stage, microbatch, part)]
        if stage < schedule.n_stages - 1:
            found.append(Value("activation", stage, microbatch, part))
        if part < schedule.n_slices - 1:
            found.append(Value("cache", stage, microbatch, part))
        return tuple(found)
    if kind == "W":
        return (Value("weight_gradient", stage, microbatch, part),)
    rest: ValueKind = "pending" if kind == "B" else "weight_gradient"
    found = [Value(rest, stage, microbatch, part)]
    if stage > 0:
        found.append(Value("gradient", stage, microbatch, part))
    if part > 0:
        found.append(Value("cache_gradient", stage, microbatch, part))
    return tuple(found)


def steps(schedule: Schedule, device: int) -> Iterator[Step]:
    """The order of one device as atomic steps: mostly single passes, fused runs as one tuple."""
    order = schedule.orders[device]
    if not schedule.fused:
        yield from zip(order)  # (op,), (op,), ...
        return
    heads = {step[0]: step for step in schedule.fused if step}
    position = 0
    while position < len(order):
        step = heads.get(order[position])
        if step is None or order[position : position + len(step)] != step:
            step = (order[position],)
        yield step
        position += len(step)


def grid(schedule: Schedule, *, mark: tuple[int, int] | None = None, width: int = 8) -> str:
    """The device x order grid as text; `mark=(device, position)` shows only that surrounding.

    Stages are left out where every device holds one. Fused passes are joined by `&`.
    """
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    brief = schedule.n_stages == schedule.n_devices
    lines = [
        f"{schedule.name}: {counted(schedule.n_devices, 'device')}, "
        f"{counted(schedule.n_stages, 'stage')}, {counted(schedule.n_microbatches, 'microbatch')}"
        + (f", {schedule.n_slices} slices" if schedule.n_slices > 1 else "")
    ]
    margin = len(str(max(schedule.n_devices - 1, 0)))
    for device, order in enumerate(schedule.orders):
        cells = [str(op).partition("@")[0] if brief else str(op) for op in order]
        if mark and mark[0] == device and mark[1] < len(cells):
            cells[mark[1]] = f">{cells[mark[1]]}<"
        glue = ["&" if n else " " for step in steps(schedule, device) for n in range(len(step))]
        text = [between + cell for between, cell in zip(glue, cells, strict=True)]
        if mark:
            first, end = max(mark[1] - width, 0), mark[1] + width + 1
            before, after = text[:first], text[end:]
            text = text[first:end]
            text = ([" ..."] if before and text else []) + text + ([" ..."] if after else [])
        lines.append(f"device {device:{margin}d} |{''.join(text)}")
    return "\n".join(lines)


_OP = re.compile(
    r"(?P<kind>BW|F|B|W)(?P<microbatch>[0-9]{1,9})(?:\.(?P<slice>[0-9]{1,9}))?@(?P<stage>[0-9]{1,9})"
)


def parse_op(text: str) -> Op:
    """The `Op` that `str` wrote; ValueError on anything else."""
    found = _OP.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a pass: expected e.g. F3@5 or BW0.1@2")
    kind: Kind = found["kind"]  # type: ignore[assignment]
    return Op(kind, int(found["stage"]), int(found["microbatch"]), int(found["slice"] or 0))


def to_json(schedule: Schedule) -> str:
    """The schedule as one JSON object; `from_json` reads it back, equal."""
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    return json.dumps(
        {
            "format": JSON_FORMAT,
            "name": schedule.name,
            "placement": schedule.placement,
            "n_microbatches": schedule.n_microbatches,
            "n_slices": schedule.n_slices,
            "orders": [
                ["&".join(map(str, step)) for step in steps(schedule, device)]
                for device in range(schedule.n_devices)
            ],
        },
        indent=1,
    )


def from_json(text: str) -> Schedule:
    """The schedule in `text`; ValueError with one sentence if it is not one."""
    found = parsed(text)
    if not isinstance(found, dict) or found.get("format") != JSON_FORMAT:
        raise ValueError(f'not a schedule: expected a JSON object with "format": {JSON_FORMAT!r}')
    for key, rule in _FIELDS.items():
        if key not in found:
            raise ValueError(f"not a schedule: {key!r} is missing: it must be {rule}")
        for where, value, rule in _misfits(key, found[key]):
            raise ValueError(f"not a schedule: {where} is {shown(value)}: it must be {rule}")
    rows = [
        [_parse_step(cell, device, position) for position, cell in enumerate(row)]
        for device, row in enumerate(found["orders"])
    ]
    return Schedule(
        placement=tuple(found["placement"]),
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        n_microbatches=found["n_microbatches"],
        n_slices=found["n_slices"],
        fused=tuple(step for row in rows for step in row if len(step) > 1),
        name=found["name"],
    )


_FIELDS = {
    "name": "a string",
    "placement": "a list of device numbers",
    "n_microbatches": "a whole number of at most 18 digits",
    "n_slices": "a whole number of at most 18 digits",
    "orders": "a list of lists of passes such as F3@5",
}
_TYPES: dict[str, Any] = {
    "name": str,
    "placement": list,
    "n_microbatches": int,
    "n_slices": int,
    "orders": list,
}


def _parse_step(cell: str, device: int, position: int) -> Step:
    try:
        return tuple(map(parse_op, cell.split("&")))
    except ValueError as error:
        raise ValueError(f"not a schedule: orders[{device}][{position}]: {error}") from None


def _misfits(key: str, value: Any) -> Iterator[tuple[str, Any, str]]:
    """What does not fit in the value of `key`: where, the value there, and what it must be."""
    kind = _TYPES[key]
    if type(value) is not kind or (kind is int and abs(value) >= 10**18):
        yield repr(key), value, _FIELDS[key]
    elif key == "placement":
        for stage, device in enumerate(value):
            if type(device) is not int or abs(device) >= 10**18:
                yield f"placement[{stage}]", device, "a device number"
    elif key == "orders":
        for device, row in enumerate(value):
            if type(row) is not list:
                yield f"orders[{device}]", row, "a list of passes such as F3@5"
                continue
            for position, cell in enumerate(row):
                if type(cell) is not str:
                    yield f"orders[{device}][{position}]", cell, "a pass such as F3@5"


def counted(n: int, noun: str) -> str:
    """A number of things in words: 1 device, 2 devices, 3 microbatches."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{n} {noun}{'' if n == 1 else plural}"
