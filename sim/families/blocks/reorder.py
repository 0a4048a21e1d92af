"""From a repeated block to a good schedule: passes move into idle cells of warm-up and cool-down.

Time is counted in whole cells, passes are numbers. Where the weight gradients are *floating* they
are not in the rows at all: every idle cell is taken by the oldest one that waits, whatever the
other passes do, so that moving a pass re-lays them by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from ...schedule.ir import Kind, Op
from .passes import Cells, Passes, Row
from .squeeze import squeezed, with_weights


def reordered(
    orders: Sequence[Sequence[Op]], cells: Cells, *, limit: int | None = None, floating: bool = True
) -> list[tuple[Op, ...]]:
    """The orders with warm-up and cool-down reordered; the stable phase between them stays.

    Squeeze; move the passes of warm-up and cool-down into idle cells, at no time with more than
    `limit` activations (chunks) alive on a device; squeeze; and once more with the weight gradients
    `floating`. Without `limit`, no device keeps more alive than it does anyway.
    Give `cells` the lengths of your costs to have them count; only order matters afterwards.

    ValueError if the orders themselves keep more than `limit` alive, or wait for each other.
    """
    found = {op.kind for order in orders for op in order}
    split: tuple[Kind, ...] = ("B", "W") if found & {"B", "W"} else ()
    fused: tuple[Kind, ...] = ("BW",) if "BW" in found else ()
    m = max(op.microbatch for order in orders for op in order) + 1
    passes = Passes(cells, ("F", *split, *fused), m)
    numbers = [[passes.number(op) for op in order] for order in orders]
    return passes.ops(reordered_numbers(numbers, passes, limit=limit, floating=floating))


Where = Literal["ends", "anywhere", "cool-down"]
"""The passes that may move: of warm-up and cool-down, of every phase, of the cool-down alone."""


def reordered_numbers(
    orders: Sequence[Sequence[int]],
    passes: Passes,
    *,
    limit: int | None,
    floating: bool,
    eager: bool = False,
) -> list[list[int]]:
    """The same for orders of numbers.

    eager: first the passes of all phases move, the stable one's too, and then the cool-down alone.
    """
    rows = squeezed(orders, passes)
    alive = [max(alive for alive, _ in _Lane(row, passes).before) for row in rows]
    if limit is not None and limit < max(alive):
        raise ValueError(
            f"limit is {limit} chunks, but the orders themselves keep {max(alive)} alive on a "
            f"device: give at least {max(alive)}, or a block of shorter lifespans"
        )
    limits = alive if limit is None else [limit] * len(rows)
    weights = passes.of("W")
    split = any(number in weights for order in orders for number in order)
    rounds: tuple[Where, ...] = ("anywhere", "cool-down") if eager else ("ends", "ends")
    for turn, where in enumerate(rounds if floating and split else rounds[:1]):
        if turn:  # now the W's float
            rows = [_without(row, weights) for row in rows]
        rows = _reordered(rows, passes, limits, where)
        rows = squeezed([with_weights(row, passes) for row in rows], passes)
    return [row.passes for row in rows]


def _without(row: Row, numbers: range) -> Row:
    kept = [i for i, number in enumerate(row.passes) if number not in numbers]
    return Row([row.starts[i] for i in kept], [row.passes[i] for i in kept])


def _reordered(
    rows: Sequence[Row], passes: Passes, limits: Sequence[int], where: Where
) -> list[Row]:
    """The rows with the passes of some phases moved into idle cells.

    Warm-up lasts until the first backward of stage 0, cool-down from its last forward on. Passes
    are visited in the order of their time; each goes to the first idle room after its inputs and
    after the pass of its kind and stage before it, where the activations alive on its device stay
    within its limit. Nothing moves later, so no order can start to wait for itself.
    """
    m, length = passes.n_microbatches, passes.length
    lanes = [_Lane(row, passes) for row in rows]
    starts = [0] * (passes.of_kind * len(passes.kinds))
    for row in rows:
        for start, number in zip(*row, strict=True):
            starts[number] = start
    first = rows[passes.cells.placement[0]]
    backwards = {*passes.of("B")[:m], *passes.of("BW")[:m]}
    cool_from = max(start for start, number in zip(*first, strict=True) if number < m)
    early_until = 0
    if where == "ends":
        early_until = min(
            start for start, number in zip(*first, strict=True) if number in backwards
        )
    elif where == "anywhere":
        early_until = cool_from + 1
    visits = sorted(
        (start, device, number)
        for device, row in enumerate(rows)
        for start, number in zip(*row, strict=True)
        if start < early_until or start > cool_from
    )
    for start, device, number in visits:
        shape, microbatch = divmod(number, m)
        earliest = 0
        if to_source := passes.source[shape]:
            source = number + to_source
            earliest = starts[source] + length[source // m] + passes.gap[shape]
        if microbatch:
            earliest = max(earliest, starts[number - 1] + length[shape])
        if earliest < start:
            starts[number] = lanes[device].move(start, earliest, limits[device])
    return [Row(lane.starts, lane.passes) for lane in lanes]


class _Lane:
    """A row in a form that moves passes fast: the memory before every pass is kept."""

    def __init__(self, row: Row, passes: Passes) -> None:
        self.starts, self.passes = [*row.starts], [*row.passes]
        self.m, self.of_kind, self.length = passes.n_microbatches, passes.of_kind, passes.length
        weights = passes.of("W")
        floats = weights and not any(number in weights for number in self.passes)
        self.weight = passes.cells.lengths["W"] if floats else 0
        """Cells of a floating W; 0 if none floats."""
        self.alive = [{"F": 1, "B": 0, "W": -1, "BW": -1}[kind] for kind in passes.kinds]
        self.pending = [1 if floats and kind == "B" else 0 for kind in passes.kinds]
        """Change of the activations alive, and of the W's that float, with a pass of each kind."""
        self.before = [(0, 0)]
        """(alive, pending W's) right after the pass before each position, and after the last."""
        for position in range(len(self.passes)):
            self.before.append(self._after(position, *self.before[position]))

    def move(self, start: int, earliest: int, limit: int) -> int:
        """Moves the pass at `start` to the first room from `earliest` on; where it then starts."""
        old = bisect_left(self.starts, start)
        length = self.length[self.passes[old] // self.m]
        for new in range(bisect_left(self.starts, earliest), old + 1):
            begin = max(earliest, self._free(new))
            fits = begin + length <= self.starts[new] if new < old else begin < start
            if fits and self._try(old, new, begin, limit):
                return begin
        return start

    def _try(self, old: int, new: int, begin: int, limit: int) -> bool:
        """Moves the pass at position `old` to `new` if no more than `limit` are then alive."""
        start, number = self.starts[old], self.passes[old]
        self._place(old, new, begin, number)
        state, found = self.before[new], []
        for position in range(new, len(self.passes)):
            state = self._after(position, *state)
            if state[0] > limit:
                self._place(new, old, start, number)
                return False
            found.append(state)
            if position > old and state == self.before[position + 1]:
                break
        self.before[new + 1 : new + 1 + len(found)] = found
        return True

    def _place(self, source: int, target: int, start: int, number: int) -> None:
        del self.starts[source], self.passes[source]
        self.starts.insert(target, start)
        self.passes.insert(target, number)

    def _free(self, position: int) -> int:
        if not position:
            return 0
        return self.starts[position - 1] + self.length[self.passes[position - 1] // self.m]

    def _after(self, position: int, alive: int, pending: int) -> tuple[int, int]:
        """The state after the pass at `position`, and the W's that ran before it."""
        if pending and self.weight:
            done = min(pending, (self.starts[position] - self._free(position)) // self.weight)
            alive, pending = alive - done, pending - done
        kind = self.passes[position] // self.of_kind
        return alive + self.alive[kind], pending + self.pending[kind]
