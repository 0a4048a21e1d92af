"""The passes of a repeated block as whole numbers, which are quick to compare and to look up.

    number = (kind * n_stages + stage) * n_microbatches + microbatch

A microbatch later is one further on, and what a pass reads is equally far from it in every
microbatch: its **shape**, kind and stage, says how far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...schedule.ir import Kind, Op


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


class Row(NamedTuple):
    """The passes of one device by number, with the cells in which they start, ascending."""

    starts: list[int]
    passes: list[int]


class Passes:
    """The numbers of all passes of some kinds, and what `cells` say about every shape.

    length: cells a pass takes. source: what to add to its number for the pass whose output it
    reads; 0 where it reads none. gap: cells between that pass's end and its start. All of shape
    `(n_kinds * n_stages,)`.
    of_kind: how many passes there are of each kind.
    """

    def __init__(self, cells: Cells, kinds: Sequence[Kind], n_microbatches: int) -> None:
        n = len(cells.placement)
        self.cells, self.kinds, self.n_microbatches = cells, tuple(kinds), n_microbatches
        self.of_kind = n * n_microbatches
        shapes = [Op(kind, stage, 0) for kind in kinds for stage in range(n)]
        self.length = [cells.lengths[op.kind] for op in shapes]
        self.source, self.gap = [0] * len(shapes), [0] * len(shapes)
        for shape, op in enumerate(shapes):
            for source, gap in cells.inputs(op):
                self.source[shape] = self.number(source) - self.number(op)
                self.gap[shape] = gap

    def number(self, op: Op) -> int:
        """The number of a pass."""
        kind, stage, microbatch, _ = op
        shape = self.kinds.index(kind) * len(self.cells.placement) + stage
        return shape * self.n_microbatches + microbatch

    def of(self, kind: Kind) -> range:
        """The numbers of all passes of a kind; none if it is not among `kinds`."""
        if kind not in self.kinds:
            return range(0)
        first = self.kinds.index(kind) * self.of_kind
        return range(first, first + self.of_kind)

    def op(self, number: int) -> Op:
        """The pass of that number."""
        shape, microbatch = divmod(number, self.n_microbatches)
        kind, stage = divmod(shape, len(self.cells.placement))
        return Op(self.kinds[kind], stage, microbatch)

    def ops(self, orders: Iterable[Iterable[int]]) -> list[tuple[Op, ...]]:
        """Orders of numbers as orders of passes."""
        stages, microbatches = range(len(self.cells.placement)), range(self.n_microbatches)
        found = [
            Op(kind, stage, i) for kind in self.kinds for stage in stages for i in microbatches
        ]
        return [tuple([found[number] for number in order]) for order in orders]
