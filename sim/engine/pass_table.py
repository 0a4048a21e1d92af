"""What a schedule knows about every pass of a play, in whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..schedule.ir import Op
from .numbering import Numbering

Column = npt.NDArray[Any]


class Passes(NamedTuple):
    """A row for every pass number of the first iteration; `name` has one more, for no pass."""

    device: Column
    position: Column
    kind: Column
    stage: Column
    microbatch: Column
    slice: Column
    name: Column


def passes_of(numbering: Numbering) -> Passes:
    """What the schedule knows about every pass; all frames of a play look it up here."""
    static = Op("F", 0, 0)  # in a row that only `name` is asked for
    device, position, ops = numbering.table()
    kind, stage, microbatch, part = zip(*(op or static for op in ops), strict=True)
    names = ["static" if op is None else str(op) for op in ops]
    return Passes(
        device=whole(device),
        position=whole(position),
        kind=things(kind),
        stage=whole(stage),
        microbatch=whole(microbatch),
        slice=whole(part),
        name=things([*names, ""]),
    )


def whole(column: Sequence[Any]) -> Column:
    """A column of whole numbers."""
    return np.fromiter(column, dtype=np.int64, count=len(column))


def things(column: Sequence[Any]) -> Column:
    """A column of anything else."""
    return np.array(column, dtype=object)
