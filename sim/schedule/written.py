"""Which values have been written: a mark per microbatch, for rules that walk through all passes.

Passes that differ only in their microbatch read and write the same kinds of value, unless one of
them is a variant. So `reads` and `writes` are asked once per kind, stage, slice and variant of a
pass, and a walk only looks up marks:

    rows("F", 2, 0)  ->  ([activation of 0@1, of 1@1, ...],), ([saved of 0@2, ...], ...)

    >>> from sim import FAMILIES
    >>> rows = written_rows(FAMILIES["1f1b"](2, 3))
    >>> (activation,), _ = rows("F", 1, 0)
    >>> rows("F", 0, 0)[1][1] is activation, activation
    (True, [0, 0, 0])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from .dependencies import reads, writes
from .ir import Kind, Op, Schedule, Value

Row = list[int]
"""The marks of the values that differ only in their microbatch, shape `(n_microbatches,)`."""
Rows = Callable[..., tuple[tuple[Row, ...], tuple[Row, ...]]]
"""(kind, stage, slice) of a pass, and its variant where it is one -> the rows of what it reads and
of what it writes."""


def written_rows(schedule: Schedule, *, device: int | None = None) -> Rows:
    """A fresh row of zeros for each kind, stage and slice of value that some pass asks for.

    device: leaves out what other devices write.
    """

    variants = schedule.variants

    @cache
    def row(_: Value) -> Row:
        return [0] * schedule.n_microbatches

    def those(values: tuple[Value, ...]) -> tuple[Row, ...]:
        # A value carries its writer's stage, and so tells where it is written.
        here = (v for v in values if device in (None, schedule.device_of(v)))
        return tuple(row(value._replace(microbatch=0)) for value in here)

    @cache
    def rows(
        kind: Kind, stage: int, part: int, variant: object = None
    ) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        every = range(schedule.n_microbatches)
        ops = (Op(kind, stage, i, part) for i in every)
        one = next(op for op in ops if variants.get(op[1:]) == variant)
        return those(reads(schedule, one)), those(writes(schedule, one))

    return rows
