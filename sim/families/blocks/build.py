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
    device 1 | F0 B0 W0 F1 B1 W1 F2 B2 W2
"""

from __future__ import annotations

from ...base.gc_pause import gc_pause
from ...base.numbers import checked_whole
from ...schedule.ir import Op, Schedule
from .block import Block, collision, crowded, rows, settled_weights, v_placement
from .passes import Passes
from .reorder import reordered_numbers
from .squeeze import with_weights

__all__ = [
    "Block",
    "check",
    "is_collision_free",
    "lifespan",
    "predicted_peak",
    "schedule",
    "v_placement",
]


def lifespan(block: Block) -> tuple[int, ...]:
    """Cells from the start of F to the end of the last backward pass, of each stage.

    ValueError where floating W's have no place: other passes collide, or leave too few cells idle.
    """
    if "BW" in block.offsets:
        ends, length = block.offsets["BW"], block.lengths["BW"]
    else:
        if block.floats and (complaint := _collides(block)):
            raise ValueError(complaint)
        ends = settled_weights(block) if block.floats else block.offsets["W"]
        length = block.lengths["W"]
    return tuple(end + length - f for f, end in zip(block.offsets["F"], ends, strict=True))


def predicted_peak(block: Block) -> tuple[int, ...]:
    """Most activations alive on each device, in chunks (stages): the sum of ceil(lifespan / T).

    An upper bound: two stages of a device need not have their most at the same time.
    """
    alive = [-(-cells // block.interval) for cells in lifespan(block)]
    return tuple(
        sum(alive[s] for s, device in enumerate(block.placement) if device == d)
        for d in range(block.n_devices)
    )


def is_collision_free(block: Block) -> bool:
    """Whether no two passes of a device ever want one cell, however often the block repeats."""
    return not _collides(block)


def check(block: Block) -> None:
    """ValueError with one sentence if passes collide or start before their inputs are there."""
    cells = block.cells
    for kind, starts in block.offsets.items():
        for stage, start in enumerate(starts):
            for source, gap in cells.inputs(Op(kind, stage, 0)):
                free = block.offsets[source.kind][source.stage] + block.lengths[source.kind] + gap
                if start < free:
                    raise ValueError(
                        f"{block.name}: {kind} of stage {stage} starts in cell {start}, but its "
                        f"input from {source.kind} of stage {source.stage} is there in cell "
                        f"{free}: move it later"
                    )
    if complaint := _collides(block):
        raise ValueError(complaint)


@gc_pause()
def schedule(
    block: Block, n_microbatches: int, *, limit: int | None = None, eager: bool = False
) -> Schedule:
    """The block repeated for all microbatches, with warm-up and cool-down reordered.

    Repeat, squeeze, move the passes of warm-up and cool-down into idle cells while at most `limit`
    activations (chunks) are alive on every device, squeeze. If `limit` is not given, no device
    keeps more alive than the repeated block does. Only the order of the passes is kept.
    eager: the passes between warm-up and cool-down move, too.

    ValueError with one sentence if the block is no schedule, or keeps more than `limit` alive.
    """
    check(block)
    m = checked_whole(n_microbatches, f"{block.name}: m")
    limit = None if limit is None else checked_whole(limit, f"{block.name}: limit")
    passes = block.passes(m)
    orders = passes.ops(_orders(block, passes, limit, eager))
    return Schedule(block.placement, tuple(orders), m, name=block.name)


def _orders(block: Block, passes: Passes, limit: int | None, eager: bool) -> list[list[int]]:
    """The order of every device: reordered for a few microbatches, then made longer.

    Between warm-up and cool-down every interval is like the one before, so a schedule for few
    microbatches with two equal intervals in a row gives the one for many: more of the same between
    them. That is as valid as the short one: up to the cut every pass has its inputs before the cut.
    """
    m = passes.n_microbatches
    first = min(map(min, block.offsets.values()))
    reach = (max(map(max, block.offsets.values())) - first) // block.interval + 1
    few = reach * 5 // 4 + 10
    while few < m:
        short = _drawn(block, passes, few, limit, eager)
        cuts = [first + (few - n) * block.interval for n in (6, 5, 4)]
        long = [_longer(order, passes, cuts=cuts, more=m - few, block=block) for order in short]
        if all(long):
            return long
        few *= 2
    return _drawn(block, passes, m, limit, eager)


def _drawn(block: Block, passes: Passes, m: int, limit: int | None, eager: bool) -> list[list[int]]:
    """The order of every device for the first `m` microbatches."""
    orders = [with_weights(row, passes) for row in rows(block, passes, m)]
    try:
        return reordered_numbers(orders, passes, limit=limit, floating=block.floats, eager=eager)
    except ValueError as error:
        raise ValueError(f"{block.name}: {error}") from None


def _longer(
    order: list[int], passes: Passes, *, cuts: list[int], more: int, block: Block
) -> list[int]:
    """`order` with `more` intervals after the second of two; [] if the two are not equal."""
    first = {
        passes.number(Op(kind, stage, 0)): start
        for kind, starts in block.offsets.items()
        for stage, start in enumerate(starts)
    }
    times = []  # of the repeated block, of the passes given by offset
    for position, number in enumerate(order):
        microbatch = number % passes.n_microbatches
        if (start := first.get(number - microbatch)) is not None:
            times.append((position, start + microbatch * block.interval))
    found = []
    for cut in cuts:
        late = [position for position, time in times if time >= cut]
        early = [position for position, time in times if time < cut]
        if not late or not early or early[-1] > late[0]:
            return []
        found.append(late[0])
    a, b, c = found
    interval = order[b:c]
    if not a < b < c or [number + 1 for number in order[a:b]] != interval:
        return []
    middle = [number + n for n in range(1, more + 1) for number in interval]
    return [*order[:c], *middle, *(number + more for number in order[c:])]


def _collides(block: Block) -> str:
    if found := collision(block):
        one, other, cell = found
        return (
            f"{block.name}: {one.kind} of stage {one.stage} and {other.kind} of stage "
            f"{other.stage} collide on device {block.placement[one.stage]}: both take cell {cell} "
            f"of every {block.interval}; on a device, cells must be distinct modulo the interval"
        )
    complaint = crowded(block)
    return f"{block.name}: {complaint}" if complaint else ""
