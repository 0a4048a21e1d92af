"""A building block as it is drawn on paper: every pass in its cells, before any squeezing.

>>> from sim.families.blocks.build import Block
>>> block = Block(placement=(0, 1), offsets={"F": (0, 1), "B": (4, 2)}, interval=3, name="mine")
>>> trace = as_drawn(block, 2)
>>> [(row.kind, row.microbatch, row.start) for row in trace.ops.itertuples() if row.device == 1]
[('F', 0, 1), ('B', 0, 2), ('W', 0, 3), ('F', 1, 4), ('B', 1, 5), ('W', 1, 6)]
"""

from __future__ import annotations

from dataclasses import replace

from ..engine.columns import MEMORY, OPS, TRANSFERS
from ..engine.trace import Trace
from ..families.blocks.block import Block, repeated, settled_weights
from ..families.blocks.build import check
from ..schedule.ir import Schedule


def as_drawn(block: Block, n_microbatches: int = 1) -> Trace:
    """The block repeated as it stands, as a trace that `gantt` and `gantt_svg` can draw.

    Times are cells, from the first pass on. Floating W's lie where they settle when the block
    repeats for ever. ValueError with one sentence if the block is no schedule.
    """
    import pandas as pd

    check(block)
    if block.floats:
        block = replace(block, offsets={**block.offsets, "W": settled_weights(block)})
    rows = repeated(block, n_microbatches)
    ops = [
        (device, i, op.kind, op.stage, op.microbatch, 0, 0, i, cell, cell + block.lengths[op.kind],
         float("nan"), float("nan"), "")
        for device, row in enumerate(rows)
        for i, (cell, op) in enumerate(row)
    ]  # fmt: skip
    orders = tuple(tuple(op for _, op in row) for row in rows)
    schedule = Schedule(block.placement, orders, n_microbatches, name=block.name)
    transfers, memory = (pd.DataFrame(columns=list(names)) for names in (TRANSFERS, MEMORY))
    return Trace(schedule, pd.DataFrame(ops, columns=list(OPS)), transfers, memory, origin="drawn")
