"""Building blocks: where one microbatch's passes lie in time decides a schedule and its memory.

A `Block` says in which cell of time every pass of microbatch 0 starts. Repeated every `interval`
cells it is a schedule, and the **lifespan** of a stage, from the start of its forward to the end of
its last backward, says how many microbatches are alive at once: that is the idea of Qi et al. 2024,
arXiv 2405.15362, and V-Min, V-Half and V-ZB are nothing but offsets.

Your own block, here 1F1B on two devices with a split backward:

    >>> block = Block(placement=(0, 1), offsets={"F": (0, 1), "B": (4, 2)}, interval=3, name="mine")
    >>> lifespan(block), predicted_peak(block), is_collision_free(block)
    ((6, 3), (2, 1), True)
    >>> print(schedule(block, 3))
    mine: 2 devices, 2 stages, 3 microbatches
    device 0 | F0 F1 B0 W0 F2 B1 W1 B2 W2
    device 1 | F0 B0 W0 F1 B1 F2 B2 W1 W2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .ir import Kind, Op, Schedule
from .reorder import Cells, Row, most_alive, reordered, squeezed, with_weights

UNIT: Mapping[Kind, int] = {"F": 1, "B": 1, "W": 1, "BW": 2}


@dataclass(frozen=True)
class Block:
    """The passes of one microbatch on all devices, in cells of time; repeats every `interval`.

    placement: device of each stage, shape `(n_stages,)`.
    offsets: first cell of every pass of microbatch 0, by kind, shape `(n_stages,)` each: either
        "F" and "B", with or without "W", or "F" and "BW". Without "W" the weight gradients float:
        each runs in the first idle cell after its B, first in, first out.
    interval: cells from one microbatch to the next.
    lengths: cells that a pass of each kind takes; 1, and 2 for a fused backward.
    send: cells between the end of a pass and the start of a pass of another device that reads it.
    """

    placement: tuple[int, ...]
    offsets: Mapping[Kind, Sequence[int]]
    interval: int
    name: str = "block"
    lengths: Mapping[Kind, int] = field(default_factory=lambda: UNIT)
    send: int = 0

    @property
    def n_devices(self) -> int:
        return max(self.placement) + 1

    @property
    def n_stages(self) -> int:
        return len(self.placement)


def v_placement(n_devices: int) -> tuple[int, ...]:
    """Stage s on device s going down the V, and on device 2p-1-s coming back."""
    return (*range(n_devices), *reversed(range(n_devices)))


def lifespan(block: Block) -> tuple[int, ...]:
    """Cells from the start of F to the end of the last backward pass, of each stage."""
    _check_shape(block)
    last = _last_kind(block)
    offsets = _all_offsets(block)
    length = block.lengths[last]
    return tuple(
        end + length - start for start, end in zip(offsets["F"], offsets[last], strict=True)
    )


def predicted_peak(block: Block) -> tuple[int, ...]:
    """Most activations alive on each device, in chunks (stages): the sum of ceil(lifespan / T)."""
    alive = [-(-cells // block.interval) for cells in lifespan(block)]
    return tuple(
        sum(alive[s] for s, device in enumerate(block.placement) if device == d)
        for d in range(block.n_devices)
    )


def is_collision_free(block: Block) -> bool:
    """Whether no two passes of a device ever want one cell, however often the block repeats."""
    _check_shape(block)
    return _collision(block) is None and not _no_room(block)


def check(block: Block) -> None:
    """ValueError with one sentence if `block` cannot be a schedule: see the rules in `Block`."""
    _check_shape(block)
    cells = _cells(block)
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            op = Op(kind, stage, 0)
            for source, gap in cells.inputs(op):
                free = block.offsets[source.kind][source.stage] + block.lengths[source.kind] + gap
                if start < free:
                    raise ValueError(
                        f"{block.name}: {kind} of stage {stage} starts in cell {start}, but its "
                        f"input from {source.kind} of stage {source.stage} is there in cell "
                        f"{free}: move it later"
                    )
    if found := _collision(block):
        (a, stage_a), (b, stage_b), cell = found
        raise ValueError(
            f"{block.name}: {a} of stage {stage_a} and {b} of stage {stage_b} collide on device "
            f"{block.placement[stage_a]}: both take cell {cell} of every {block.interval}; offsets "
            f"on a device must be distinct modulo {block.interval}"
        )
    if complaint := _no_room(block):
        raise ValueError(complaint)


def schedule(block: Block, n_microbatches: int, *, limit: int | None = None) -> Schedule:
    """The block repeated for all microbatches, with warm-up and cool-down drawn together.

    Repeat, squeeze, move the passes of warm-up and cool-down into idle cells without letting more
    than `limit` activations (chunks) be alive on a device, squeeze. `limit` is the peak of the
    repeated block if not given. Only the order of the passes is kept.
    """
    check(block)
    if (
        isinstance(n_microbatches, bool)
        or not isinstance(n_microbatches, int)
        or n_microbatches < 1
    ):
        raise ValueError(f"{block.name}: m is {n_microbatches!r}: it must be a whole number >= 1")
    orders = _orders(block, n_microbatches, limit)
    return Schedule(block.placement, tuple(map(tuple, orders)), n_microbatches, name=block.name)


def _orders(block: Block, m: int, limit: int | None) -> list[list[Op]]:
    cells, floating = _cells(block), _floats(block)
    orders = [with_weights(row, block.lengths) for row in _repeated(block, m)]
    rows = squeezed(orders, cells)
    alive = [most_alive(row, block.lengths, floating=False) for row in rows]
    most = max(alive) if limit is None else limit
    if most < max(alive):
        raise ValueError(
            f"{block.name}: limit is {most} chunks, but the block itself keeps {max(alive)} alive: "
            "give at least that, or a block of shorter lifespans"
        )
    first, backward = block.placement[0], _backward(block)
    for floats in (False, True) if floating else (False,):
        warm = next(t for t, op in rows[first] if op.kind == backward and op.stage == 0)
        cool = max(t for t, op in rows[first] if op.kind == "F" and op.stage == 0)
        if floats:
            rows = [[(start, op) for start, op in row if op.kind != "W"] for row in rows]
        rows = reordered(
            rows,
            cells,
            limits=[most] * len(rows),
            warm_until=warm,
            cool_from=cool,
            floating=floats,
        )
        orders = [with_weights(row, block.lengths) for row in rows]
        rows = squeezed(orders, cells)
    return orders


def _repeated(block: Block, m: int) -> list[Row]:
    rows: list[Row] = [[] for _ in range(block.n_devices)]
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            rows[block.placement[stage]].extend(
                (start + i * block.interval, Op(kind, stage, i)) for i in range(m)
            )
    first = min(row[0][0] for row in map(sorted, rows) if row)
    return [sorted((start - first, op) for start, op in row) for row in rows]


def _cells(block: Block) -> Cells:
    return Cells(block.lengths, block.placement, block.send)


def _floats(block: Block) -> bool:
    return "B" in block.offsets and "W" not in block.offsets


def _backward(block: Block) -> Kind:
    return "BW" if "BW" in block.offsets else "B"


def _last_kind(block: Block) -> Kind:
    return "BW" if "BW" in block.offsets else "W"


def _all_offsets(block: Block) -> dict[Kind, tuple[int, ...]]:
    """The offsets with those of floating W's: where they settle when the block repeats for ever."""
    found: dict[Kind, tuple[int, ...]] = {k: tuple(v) for k, v in block.offsets.items()}
    if not _floats(block):
        return found
    if complaint := _no_room(block):
        raise ValueError(complaint)
    span = max(block.offsets["B"]) - min(block.offsets["F"])
    probe = span // block.interval + 2
    starts: dict[tuple[int, int], int] = {}
    for row in _repeated(block, 3 * probe):
        for start, op in _with_weight_starts(row, block.lengths):
            starts[op.stage, op.microbatch] = start
    shift = min(min(v) for v in found.values()) - probe * block.interval
    found["W"] = tuple(starts[stage, probe] + shift for stage in range(block.n_stages))
    return found


def _with_weight_starts(row: Row, lengths: Mapping[Kind, int]) -> Row:
    """The floating W's of a row with their starts."""
    order, starts = with_weights(row, lengths), {op: start for start, op in row}
    found: Row = []
    free = 0
    for op in order:
        start = starts.get(op, free)
        if op.kind == "W":
            found.append((start, op))
        free = start + lengths[op.kind]
    return found


def _collision(block: Block) -> tuple[tuple[Kind, int], tuple[Kind, int], int] | None:
    """Two passes that want one cell, and which; None if there are none."""
    taken: dict[tuple[int, int], tuple[Kind, int]] = {}
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            for cell in range(start, start + block.lengths[kind]):
                spot = block.placement[stage], cell % block.interval
                if spot in taken:
                    return taken[spot], (kind, stage), spot[1]
                taken[spot] = kind, stage
    return None


def _no_room(block: Block) -> str:
    """What is wrong if the floating W's of a device do not fit into its idle cells; else ""."""
    if not _floats(block) or _collision(block):
        return ""
    for device in range(block.n_devices):
        stages = [s for s, d in enumerate(block.placement) if d == device]
        busy = sorted(
            (starts[s] % block.interval, block.lengths[kind])
            for kind, starts in block.offsets.items()
            for s in stages
        )
        gaps = [b - a - n for (a, n), (b, _) in pairwise([*busy, (busy[0][0] + block.interval, 0)])]
        room = sum(gap // block.lengths["W"] for gap in gaps)
        if room < len(stages):
            return (
                f"{block.name}: {room} of {len(stages)} W's fit into the idle cells of device "
                f"{device}: interval {block.interval} is too short, or give the offsets of W"
            )
    return ""


def _check_shape(block: Block) -> None:
    kinds = set(block.offsets)
    if kinds not in ({"F", "B"}, {"F", "B", "W"}, {"F", "BW"}):
        raise ValueError(
            f"{block.name}: offsets are given for {sorted(kinds)}: give F and B, F, B and W, "
            "or F and BW"
        )
    devices = set(block.placement)
    if not devices or devices != set(range(len(devices))):
        raise ValueError(
            f"{block.name}: placement is {block.placement}: give every stage a device, and every "
            "device from 0 on a stage"
        )
    for kind, starts in block.offsets.items():
        if len(starts) != block.n_stages:
            raise ValueError(
                f"{block.name}: {kind} has {len(starts)} offsets for {block.n_stages} stages"
            )
        if wrong := next(
            (o for o in starts if isinstance(o, bool) or not isinstance(o, int)), None
        ):
            raise ValueError(
                f"{block.name}: an offset of {kind} is {wrong!r}: cells are whole numbers"
            )
    needed = {
        "interval": block.interval,
        **{f"length of {k}": block.lengths.get(k, 1) for k in kinds},
    }
    for name, cells in needed.items():
        if isinstance(cells, bool) or not isinstance(cells, int) or cells < 1:
            raise ValueError(f"{block.name}: {name} is {cells!r}: it must be a whole number >= 1")
