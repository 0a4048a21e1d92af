"""Passes of a schedule and the values they exchange: the words of which orders are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

Kind = Literal["F", "B", "W", "BW", "R", "O", "L", "S", "T"]
# fmt: off
ValueKind = Literal[
    "activation", "saved", "input", "stored", "loaded", "cache",
    "gradient", "pending", "cache_gradient", "weight_gradient",
    "part_of_scores", "part_of_gradient",
]
# fmt: on
KINDS: tuple[Kind, ...] = get_args(Kind)
Trained = Literal["weights", "adapters", "nothing"]
"""What a stage trains: see `Schedule.trains`."""
Lever = Literal["R", "O"]
Queue = Literal["compute", "out", "in"]
QUEUES: dict[Kind, Queue] = {"O": "out", "L": "in"}
"""Where passes run that do not compute: beside compute, see `queue_of`."""
PARTS: tuple[Kind, ...] = ("S", "T")
"""Passes that every device runs for every microbatch, each on its part of the vocabulary: in the
place of a stage they name the part, which is the number of its device."""
OF_PARTS: tuple[ValueKind, ...] = ("part_of_scores", "part_of_gradient")
"""What they leave for those of other devices."""
Backward = Literal["B W", "B", ""]
"""The passes of a backward; the first may also be one BW."""


class Op(NamedTuple):
    """One pass: what a device does with one microbatch (or one slice of it) on one stage.

    The kinds are the letters of the zero-bubble papers: F forward, B *input* gradient, W weight
    gradient, BW both backward passes fused, R recompute: what F would have saved, built again from
    what it kept instead, O and L offload and load back: what F saved, to the host and from it, or
    to another device and from there; S and T the output layer where every device has a part of its
    vocabulary, see `Schedule.vocabulary`. (torch writes I for our B, and B for our BW.)
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
PULLED: dict[str, Lever] = {"R": "R", "O": "O", "L": "O"}
"""Which lever is pulled where there is a pass of that kind."""


def queue_of(kind: Kind) -> Queue:
    """The queue of its device on which a pass runs."""
    return QUEUES.get(kind, "compute")


def atomic_steps(order: Sequence[Op], fused: Sequence[Step]) -> Iterator[Step]:
    """An order as steps: mostly single passes, the runs in `fused` as one tuple each."""
    if not fused:
        yield from zip(order)  # (op,), (op,), ...
        return
    heads = {step[0]: step for step in fused if step}
    position = 0
    while position < len(order):
        step = heads.get(order[position])
        if step is None or tuple(order[position : position + len(step)]) != step:
            step = (order[position],)
        yield step
        position += len(step)
