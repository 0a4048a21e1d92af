"""From a repeated block to a good schedule: passes move into idle cells of warm-up and cool-down.

Time is counted in whole cells. A device's row is its passes with their starts, ascending. Where the
weight gradients are *floating* they are not in the rows at all: every idle cell is taken by the
oldest one that waits, whatever the other passes do, so that moving a pass re-lays them by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...schedule.ir import Kind, Op

Row = list[tuple[int, Op]]
"""The passes of one device with the cells in which they start, ascending."""


@dataclass(frozen=True)
class Cells:
    """How long things take while orders are made, in cells: passes by kind, and a crossing."""

    lengths: Mapping[Kind, int]
    placement: tuple[int, ...]
    send: int = 0

    def inputs(self, op: Op) -> list[tuple[Op, int]]:
        """The passes that `op` waits for, and the cells between their end and its start."""
        kind, stage, microbatch, _ = op
        last = len(self.placement) - 1
        if kind == "W":
            return [(Op("B", stage, microbatch), 0)]
        if kind == "F":
            source = Op("F", stage - 1, microbatch) if stage else None
        elif stage == last:
            source = Op("F", stage, microbatch)
        else:
            source = Op(kind, stage + 1, microbatch)
        if source is None:
            return []
        crosses = self.placement[source.stage] != self.placement[stage]
        return [(source, self.send if crosses else 0)]


def drawn_together(
    orders: Sequence[Sequence[Op]], cells: Cells, *, limit: int | None = None, floating: bool = True
) -> list[list[Op]]:
    """The orders with warm-up and cool-down drawn together; the stable phase between them stays.

    Squeeze; move the passes of warm-up and cool-down into idle cells, at no time with more than
    `limit` activations (chunks) alive on a device; squeeze; and once more with the weight gradients
    `floating`. Without `limit`, no device keeps more alive than it does anyway.
    Give `cells` the lengths of your costs to have them count; only order matters afterwards.

    ValueError if the orders themselves keep more than `limit` alive, or wait for each other.
    """
    rows = squeezed(orders, cells)
    alive = [most_alive(row, cells.lengths) for row in rows]
    if limit is not None and limit < max(alive):
        raise ValueError(
            f"limit is {limit} chunks, but the orders themselves keep {max(alive)} alive on a "
            f"device: give at least {max(alive)}, or a block of shorter lifespans"
        )
    limits = alive if limit is None else [limit] * len(rows)
    split = any(op.kind == "W" for order in orders for op in order)
    for floats in (False, True) if floating and split else (False,):
        if floats:
            rows = [[(start, op) for start, op in row if op.kind != "W"] for row in rows]
        first = rows[cells.placement[0]]
        rows = reordered(
            rows,
            cells,
            limits=limits,
            warm_until=min(t for t, op in first if op.stage == 0 and op.kind in ("B", "BW")),
            cool_from=max(t for t, op in first if op.stage == 0 and op.kind == "F"),
        )
        rows = squeezed([with_weights(row, cells.lengths) for row in rows], cells)
    return [[op for _, op in row] for row in rows]


def squeezed(orders: Sequence[Sequence[Op]], cells: Cells) -> list[Row]:
    """Every pass as early as its inputs and the order of its device allow.

    ValueError naming a waiting pass if the orders wait for each other for ever.
    """
    ends: dict[Op, int] = {}
    rows: list[Row] = [[] for _ in orders]
    free = [0] * len(orders)
    waiting: dict[Op, int] = {}
    todo = list(range(len(orders)))
    while todo:
        device = todo.pop()
        row, order = rows[device], orders[device]
        while len(row) < len(order):
            op = order[len(row)]
            start = free[device]
            for source, gap in cells.inputs(op):
                if source not in ends:
                    waiting[source] = device
                    break
                start = max(start, ends[source] + gap)
            else:
                row.append((start, op))
                free[device] = ends[op] = start + cells.lengths[op.kind]
                if op in waiting:
                    todo.append(waiting.pop(op))
                continue
            break
    stuck = next((order[len(row)] for row, order in zip(rows, orders, strict=True)
                  if len(row) < len(order)), None)  # fmt: skip
    if stuck:
        raise ValueError(f"{stuck} waits for ever: the orders of the devices contradict each other")
    return rows


def with_weights(row: Row, lengths: Mapping[Kind, int]) -> list[Op]:
    """The order of one device; W's not in the row float: idle cells take the oldest that waits."""
    if any(op.kind == "W" for _, op in row):
        return [op for _, op in row]
    order: list[Op] = []
    pending: deque[Op] = deque()
    free = 0
    for start, op in row:
        for _ in range(min(len(pending), (start - free) // lengths["W"])):
            order.append(pending.popleft())
        order.append(op)
        free = start + lengths[op.kind]
        if op.kind == "B":
            pending.append(Op("W", op.stage, op.microbatch))
    return [*order, *pending]


def most_alive(row: Row, lengths: Mapping[Kind, int]) -> int:
    """The largest number of activations alive on a device; W's not in the row float."""
    return max(alive for alive, _ in _Lane(row, lengths).before)


def reordered(
    rows: Iterable[Row],
    cells: Cells,
    *,
    limits: Sequence[int],
    warm_until: int,
    cool_from: int,
) -> list[Row]:
    """The rows with the passes before `warm_until` and after `cool_from` moved into idle cells.

    Passes are visited in the order of their time; each goes to the first idle room after its inputs
    and after the pass of its kind and stage before it, where the activations alive on its device
    stay within its limit. Nothing moves later, so no order can start to wait for itself.
    """
    lanes = [_Lane(row, cells.lengths) for row in rows]
    starts = {op: start for lane in lanes for start, op in zip(lane.starts, lane.ops, strict=True)}
    visits = sorted(
        (start, cells.placement[op.stage], op)
        for op, start in starts.items()
        if start < warm_until or start > cool_from
    )
    for start, device, op in visits:
        length = cells.lengths[op.kind]
        earliest = max(
            (starts[source] + cells.lengths[source.kind] + gap for source, gap in cells.inputs(op)),
            default=0,
        )
        if op.microbatch:
            before = Op(op.kind, op.stage, op.microbatch - 1)
            earliest = max(earliest, starts[before] + length)
        if earliest < start:
            starts[op] = lanes[device].move(start, earliest, limits[device])
    return [list(zip(lane.starts, lane.ops, strict=True)) for lane in lanes]


class _Lane:
    """A row in a form that moves passes fast: the memory before every pass is kept."""

    def __init__(self, row: Row, lengths: Mapping[Kind, int]) -> None:
        self.starts = [start for start, _ in row]
        self.ops = [op for _, op in row]
        self.lengths = lengths
        kinds = {op.kind for op in self.ops}
        self.weight = lengths["W"] if "B" in kinds and "W" not in kinds else 0
        """Cells of a floating W; 0 if none floats."""
        self.before = [(0, 0)]
        """(alive, pending W's) right after the pass before each position, and after the last."""
        for position in range(len(row)):
            self.before.append(self._after(position, *self.before[position]))

    def move(self, start: int, earliest: int, limit: int) -> int:
        """Moves the pass at `start` to the first room from `earliest` on; where it then starts."""
        old = bisect_left(self.starts, start)
        length = self.lengths[self.ops[old].kind]
        for new in range(bisect_left(self.starts, earliest), old + 1):
            begin = max(earliest, self._free(new))
            fits = begin + length <= self.starts[new] if new < old else begin < start
            if fits and self._try(old, new, begin, limit):
                return begin
        return start

    def _try(self, old: int, new: int, begin: int, limit: int) -> bool:
        """Moves the pass at position `old` to `new` if no more than `limit` are then alive."""
        start, op = self.starts[old], self.ops[old]
        self._place(old, new, begin, op)
        state, found = self.before[new], []
        for position in range(new, len(self.ops)):
            state = self._after(position, *state)
            if state[0] > limit:
                self._place(new, old, start, op)
                return False
            found.append(state)
            if position > old and state == self.before[position + 1]:
                break
        self.before[new + 1 : new + 1 + len(found)] = found
        return True

    def _place(self, source: int, target: int, start: int, op: Op) -> None:
        del self.starts[source], self.ops[source]
        self.starts.insert(target, start)
        self.ops.insert(target, op)

    def _free(self, position: int) -> int:
        if not position:
            return 0
        return self.starts[position - 1] + self.lengths[self.ops[position - 1].kind]

    def _after(self, position: int, alive: int, pending: int) -> tuple[int, int]:
        """The state after the pass at `position`, and the W's that ran before it."""
        if pending and self.weight:
            done = min(pending, (self.starts[position] - self._free(position)) // self.weight)
            alive, pending = alive - done, pending - done
        kind = self.ops[position].kind
        if kind == "F":
            return alive + 1, pending
        if kind == "B":
            return alive, pending + (self.weight > 0)
        return alive - 1, pending
