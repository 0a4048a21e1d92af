"""What a device has to do, ready to play: times in ticks, everything that crosses as a number.

Steps that differ only in their microbatch do the same **work**, which is worked out once for all of
them; a **task** is one such step.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ..base.numbers import Number, Ticks
from ..schedule.ir import Kind, Queue, Value
from .numbering import Message, Numbering


@dataclass(frozen=True, slots=True)
class Channel:
    """The values of one kind, stage and slice, one per microbatch: all cross in the same way.

    value: the one of microbatch 0. source, destination: devices. route: names of the wires it
    occupies. size: bytes. hold, latency: ticks it holds the wires, and takes after that.
    """

    value: Value
    source: int
    destination: int
    route: tuple[str, ...]
    size: Number
    hold: int | float
    latency: int | float


@dataclass(frozen=True, slots=True)
class Output:
    """A message that a step sends, through which channel, and the place in the step of the pass
    that writes it."""

    message: Message
    channel: Channel
    place: int


@dataclass(frozen=True, slots=True)
class MemoryChange:
    """Bytes and activations (in chunks) that are taken, or, where negative, given back; `place` in
    the step is that of the pass which does so."""

    size: Number
    chunks: int | Fraction
    place: int


@dataclass(frozen=True, slots=True)
class Work:
    """What an atomic step does, with its messages numbered as if its first pass had microbatch 0.

    size: how many passes it has. inputs: messages it reads. takes, frees: changes of memory at its
    start and at its end. loads: stage, microbatch and slice of what it needs that is loaded back.
    exposed: the share of its time in which it computes nothing, see `Costs.exposed`.
    """

    size: int
    inputs: tuple[Message, ...]
    outputs: tuple[Output, ...]
    takes: tuple[MemoryChange, ...]
    frees: tuple[MemoryChange, ...]
    loads: tuple[tuple[int, int, int], ...] = ()
    exposed: Fraction = Fraction(0)


class Task(NamedTuple):
    """An atomic step to play.

    first_pass: the number of its first pass; microbatch: the one of that pass.
    durations: ticks it takes in each iteration.
    """

    work: Work
    first_pass: int
    microbatch: int
    durations: tuple[int | float, ...]


class Copy(NamedTuple):
    """A copy to play.

    number: of its pass. after: how many steps compute before it. last_pass: the number of the last
    pass of those, -1 if there is none. durations: ticks in each iteration. taken, freed: what it
    takes where it writes, and gives back where it read.
    """

    kind: Kind
    unit: tuple[int, int, int]
    number: int
    after: int
    last_pass: int
    durations: tuple[int | float, ...]
    taken: MemoryChange
    freed: MemoryChange


class CopyLane(NamedTuple):
    """A copy queue of a device. store: the device that keeps what is copied, or None for the host.
    n_steps: how many steps compute in an iteration."""

    device: int
    queue: Queue
    store: int | None
    n_steps: int
    copies: tuple[Copy, ...]


class Plan(NamedTuple):
    """Everything that devices play: `tasks[d]` in order, and how what crosses is moved; beside them
    the queues of copies, and the sums of gradients that `awaited[d]` at the end of a batch.
    exchanges: whether some step may compute nothing for a while, see `Work.exposed`."""

    ticks: Ticks
    numbering: Numbering
    channels: tuple[Channel, ...]
    tasks: tuple[tuple[Task, ...], ...]
    copies: tuple[CopyLane, ...] = ()
    awaited: tuple[tuple[Message, ...], ...] = ()
    exchanges: bool = False
