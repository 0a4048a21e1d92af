"""A building block as data: where the passes of one microbatch lie in time, on all devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...base.numbers import native
from ...schedule.ir import Kind, Op
from .passes import Cells, Passes, Row
from .squeeze import with_weights

UNIT: Mapping[Kind, int] = {"F": 1, "B": 1, "W": 1, "BW": 2}


@dataclass(frozen=True)
class Block:
    """The passes of one microbatch on all devices, in cells of time; repeats every `interval`.

    placement: device of each stage, shape `(n_stages,)`.
    offsets: first cell of every pass of microbatch 0, by kind, shape `(n_stages,)` each: either
        "F" and "B", with or without "W", or "F" and "BW". Without "W" the weight gradients float:
        each runs in the first idle cell after its B, first in, first out.
    interval: cells from one microbatch to the next.
    lengths: cells that a pass of each kind takes; 1, and 2 for a fused backward, if not given.
    send: cells between the end of a pass and the start of one on another device that reads it.

    ValueError if the numbers do not fit each other. Passes that collide or start before their
    inputs are left to `is_collision_free` and `check`, so that such a block can be looked at.
    """

    placement: tuple[int, ...]
    offsets: Mapping[Kind, Sequence[int]] = field(hash=False)
    interval: int
    name: str = "block"
    lengths: Mapping[Kind, int] = field(default_factory=dict, hash=False)
    send: int = 0

    def __post_init__(self) -> None:
        lengths = {kind: native(cells) for kind, cells in {**UNIT, **self.lengths}.items()}
        offsets = {kind: tuple(map(native, starts)) for kind, starts in self.offsets.items()}
        object.__setattr__(self, "placement", tuple(map(native, self.placement)))
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "lengths", lengths)
        for name in ("interval", "send"):
            object.__setattr__(self, name, native(getattr(self, name)))
        if complaint := _misshapen(self):
            raise ValueError(f"{self.name}: {complaint}")

    @property
    def n_devices(self) -> int:
        return max(self.placement) + 1

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @property
    def cells(self) -> Cells:
        return Cells(self.lengths, self.placement, self.send)

    def passes(self, n_microbatches: int) -> Passes:
        """The numbers of its passes, floating W's among them."""
        kinds: tuple[Kind, ...] = ("F", "BW") if "BW" in self.offsets else ("F", "B", "W")
        return Passes(self.cells, kinds, n_microbatches)

    @property
    def floats(self) -> bool:
        """Whether the weight gradients float."""
        return "B" in self.offsets and "W" not in self.offsets


def v_placement(n_devices: int) -> tuple[int, ...]:
    """Stage s on device s going down the V, and on device 2p-1-s coming back."""
    return (*range(n_devices), *reversed(range(n_devices)))


def repeated(block: Block, n_microbatches: int) -> list[list[tuple[int, Op]]]:
    """The passes given by offset, of every microbatch, by device and time; time starts at 0."""
    passes = block.passes(n_microbatches)
    return [
        [(start, passes.op(number)) for start, number in zip(*row, strict=True)]
        for row in rows(block, passes, n_microbatches)
    ]


def rows(block: Block, passes: Passes, n_microbatches: int) -> list[Row]:
    """The same with passes by number; `passes` may have more microbatches."""
    first = min(map(min, block.offsets.values()))
    found: list[list[tuple[int, int]]] = [[] for _ in range(block.n_devices)]
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            number = passes.number(Op(kind, stage, 0))
            found[block.placement[stage]].extend(
                (start - first + i * block.interval, number + i) for i in range(n_microbatches)
            )
    return [Row(*map(list, zip(*sorted(row), strict=True))) for row in found]


def settled_weights(block: Block) -> tuple[int, ...]:
    """The offsets that floating W's settle at when a block without collisions repeats for ever."""
    first = min(map(min, block.offsets.values()))
    reach = (max(map(max, block.offsets.values())) - first) // block.interval + 2
    passes = block.passes(3 * reach)
    starts: dict[int, int] = {}
    for row in rows(block, passes, 3 * reach):
        given = dict(zip(row.passes, row.starts, strict=True))
        free = 0
        for number in with_weights(row, passes):
            starts[number] = given.get(number, free)
            free = starts[number] + passes.length[number // passes.n_microbatches]
    shift = first - reach * block.interval
    weights = (passes.number(Op("W", stage, reach)) for stage in range(block.n_stages))
    return tuple(starts[number] + shift for number in weights)


class Collision(NamedTuple):
    """Two passes of a device that want the same cell of every interval."""

    one: Op
    other: Op
    cell: int


def collision(block: Block) -> Collision | None:
    """The first collision among the passes given by offset; None if there is none."""
    taken: dict[tuple[int, int], Op] = {}
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            op = Op(kind, stage, 0)
            for cell in range(start, start + block.lengths[kind]):
                spot = block.placement[stage], cell % block.interval
                if spot in taken:
                    return Collision(taken[spot], op, spot[1])
                taken[spot] = op
    return None


def crowded(block: Block) -> str:
    """What is wrong if floating W's do not fit into the idle cells of some device; else ""."""
    for device in range(block.n_devices if block.floats else 0):
        stages = [s for s, d in enumerate(block.placement) if d == device]
        busy = sorted(
            (starts[s] % block.interval, block.lengths[kind])
            for kind, starts in block.offsets.items()
            for s in stages
        )
        ends = [start + length for start, length in busy]
        following = [start for start, _ in busy[1:]] + [busy[0][0] + block.interval]
        gaps = [start - end for end, start in zip(ends, following, strict=True)]
        room = sum(gap // block.lengths["W"] for gap in gaps)
        if room < len(stages):
            return (
                f"{room} of {len(stages)} W's fit into the idle cells of device {device}: "
                f"make the interval longer than {block.interval}, or give the offsets of W"
            )
    return ""


def _misshapen(block: Block) -> str:
    kinds = set(block.offsets)
    if kinds not in ({"F", "B"}, {"F", "B", "W"}, {"F", "BW"}):
        return f"offsets are given for {sorted(kinds)}: give F and B, F, B and W, or F and BW"
    devices = set(block.placement)
    if not devices or devices != set(range(len(devices))):
        return (
            f"placement is {block.placement}: give every stage a device, and every device from 0 "
            "on a stage"
        )
    for kind, starts in block.offsets.items():
        if len(starts) != block.n_stages:
            return f"{kind} has {len(starts)} offsets for {block.n_stages} stages"
        if wrong := [start for start in starts if not _whole(start)]:
            return f"an offset of {kind} is {wrong[0]!r}: cells are whole numbers"
    lengths = {f"length of {kind}": cells for kind, cells in block.lengths.items()}
    for name, cells in {"interval": block.interval, **lengths}.items():
        if not _whole(cells) or cells < 1:
            return f"{name} is {cells!r}: it must be a whole number >= 1"
    if not _whole(block.send) or block.send < 0:
        return f"send is {block.send!r}: it must be a whole number >= 0"
    return ""


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)
