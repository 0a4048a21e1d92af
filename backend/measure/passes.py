"""What single passes cost: seconds with their spread, signed bytes, bytes that cross boundaries.

A table comes from any run (`pass_table`), or from a run made for it: all stages on one device,
one microbatch at a time (`measured_passes`). Either becomes the simulator's `Costs`.

Bytes are counted at the ends of passes (see `backend.live_bytes`): F keeps its input and what its
graph saved, B gives some back or keeps more (hence signed), W frees the rest. What exists only
inside a pass is in `most`, never in the costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from sim import Costs, Kind, Op, Schedule, Trace, parse_op

from ..live_bytes import static_tensors, storage_bytes
from ..stages.split_backward import Split
from ..stages.stage import Loss
from ..stages.transformer import next_token_loss
from ..threads.result import RunResult
from ..threads.run import run

if TYPE_CHECKING:
    import pandas as pd

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Passes:
    """What every pass of every stage costs.

    table: a row per `stage`, `slice` and `kind`: `seconds` (median), `spread` (half the range
        between the quartiles), `mean` (seconds), `cpu` (median CPU seconds, NaN where not known),
        `count` (passes measured), `bytes` (signed change) and `most` (most bytes inside the pass
        above those before it). Estimates have `flops` too.
    boundary_bytes: what crosses each boundary, shape `(n_stages - 1, n_slices)`.
    static_bytes: weights, gradients and buffers, shape `(n_stages,)`.
    group_scale: time of W over several microbatches in one kernel over the sum of single ones.
    """

    table: pd.DataFrame
    boundary_bytes: tuple[tuple[int, ...], ...]
    static_bytes: tuple[int, ...]
    group_scale: float = 1.0

    def costs(self, *, clock: Clock = "wall") -> Costs:
        """The simulator's costs; clock "cpu" takes CPU seconds, for a machine that others use too.

        Wall seconds are means: a makespan is a sum, and sums of medians leave out what happens now
        and then. Static bytes are left out: a run counts what passes keep, and so does this.
        """
        column = "mean" if clock == "wall" else "cpu"
        wide = self.table.set_index(["stage", "slice", "kind"]).unstack(["kind", "slice"])
        times, sizes = wide[column], wide["bytes"]
        found: dict[str, Any] = {
            name: _cells(times[kind])
            for name, kind in (("forward", "F"), ("backward", "B"), ("weight", "W"))
        }
        if "BW" in times:
            found["fused_backward"] = _cells(times["BW"])
        return Costs(
            **found,
            activation_bytes=_whole(sizes["F"]),
            backward_bytes=_whole(sizes["B"]),
            boundary_bytes=self.boundary_bytes,
            group_scale=self.group_scale,
        )


def measured_passes(
    stages: Sequence[nn.Module],
    batch: Tensor,
    *,
    targets: Tensor | None = None,
    loss_fn: Loss = next_token_loss,
    n_slices: int = 1,
    split: Split = "deferred",
    device: str | torch.device = "cpu",
    steps: int = 5,
    warmup: int = 2,
    partitions: Sequence[torch.cuda.Stream] | None = None,
    grouped: bool = True,
) -> Passes:
    """F, B, W and BW of every stage for **one microbatch**, `batch`, with nothing else running.

    stages, batch, targets, loss_fn, split, device: as in `backend.run`.
    steps, warmup: how often each pass is timed, and run before that. grouped: whether to measure
    `group_scale` too, which takes several times as long.
    partitions: one stream, to measure on the part of the GPU that the passes will run on.

    Raises what `backend.run` raises.
    """
    options: dict[str, Any] = {
        "loss_fn": loss_fn,
        "split": split,
        "device": device,
        "warmup": warmup,
        "partitions": partitions,
    }
    results = [
        run(
            one_microbatch(len(stages), n_slices, kinds),
            stages,
            batch,
            targets=targets,
            steps=steps,
            memory=1,
            **options,
        )
        for kinds in ("BW", "B W")
    ]
    table = pass_table([trace for result in results for trace in result.traces])
    group = 1.0
    if grouped and n_slices == 1:
        result = run(
            grouped_weights(len(stages), GROUP),
            stages,
            torch.cat([batch] * (2 * GROUP)),
            targets=None if targets is None else torch.cat([targets] * (2 * GROUP)),
            steps=steps,
            memory=0,
            **options,
        )
        group = _group_scale(result)
    crossing = results[0].boundary_bytes
    static = tuple(storage_bytes(static_tensors(module)) for module in stages)
    return Passes(table, crossing, static, group)


GROUP = 4
"""Microbatches in the grouped weight pass that `group_scale` is measured with."""


def one_microbatch(n_stages: int, n_slices: int, kinds: str) -> Schedule:
    """One microbatch through all stages on one device, with "BW" or with "B W"."""
    names: tuple[Kind, ...] = ("BW",) if kinds == "BW" else ("B", "W")
    order = [Op("F", stage, 0, part) for part in range(n_slices) for stage in range(n_stages)]
    for part in reversed(range(n_slices)):
        for stage in reversed(range(n_stages)):
            order += [Op(kind, stage, 0, part) for kind in names]
    return Schedule((0,) * n_stages, (tuple(order),), 1, n_slices, name=f"alone, {kinds}")


def grouped_weights(n_stages: int, size: int) -> Schedule:
    """`2 * size` microbatches on one device: per stage, W of half of them one by one, and one W
    over the other half, so that both are measured in the same circumstances."""
    each = range(2 * size)
    order = [Op("F", stage, i) for i in each for stage in range(n_stages)]
    order += [Op("B", stage, i) for i in each for stage in reversed(range(n_stages))]
    groups = [tuple(Op("W", stage, i) for i in each[size:]) for stage in range(n_stages)]
    for stage, group in enumerate(groups):
        order += [Op("W", stage, i) for i in each[:size]]
        order += group
    fused = tuple(groups) if size > 1 else ()
    return Schedule((0,) * n_stages, (tuple(order),), 2 * size, fused=fused, name="grouped")


def pass_table(traces: Sequence[Trace]) -> pd.DataFrame:
    """Medians and means over all microbatches of all `traces`; see `Passes.table`.

    Passes in fused steps are left out of the times: a step is timed as a whole.
    """
    import pandas as pd

    ops = pd.concat([_single(trace.ops) for trace in traces])
    sizes = pd.concat([_sizes(trace.memory) for trace in traces])
    key = ["stage", "slice", "kind"]
    ops = ops.assign(seconds=ops["end"] - ops["start"])
    grouped = ops.groupby(key)
    low, high = (grouped["seconds"].quantile(part) for part in (0.25, 0.75))
    table = pd.DataFrame(
        {
            "seconds": grouped["seconds"].median(),
            "spread": (high - low) / 2,
            "mean": grouped["seconds"].mean(),
            "cpu": grouped["cpu"].median(),
            "count": grouped["seconds"].count(),
        }
    )
    medians = sizes.groupby(key)[["bytes", "most"]].median()
    return table.join(medians, how="outer").reset_index()


def _single(ops: pd.DataFrame) -> pd.DataFrame:
    """The rows of passes that are a step of their own."""
    return ops[~ops.duplicated(["device", "step"], keep=False)]


def _sizes(memory: pd.DataFrame) -> pd.DataFrame:
    """Per pass its signed bytes, and the most inside it above those before."""
    ops = [parse_op(reason) for reason in memory["reason"]]
    return memory.assign(
        stage=[op.stage for op in ops],
        slice=[op.slice for op in ops],
        kind=[op.kind for op in ops],
        bytes=memory["change"],
        most=memory["most"] - (memory["live"] - memory["change"]),
    )


def _group_scale(grouped: RunResult) -> float:
    """Median time of the grouped weight passes over that of as many single ones; 1 if none."""
    found = []
    for trace in grouped.traces:
        weights = trace.ops[trace.ops["kind"] == "W"]
        together = weights.duplicated("step", keep=False)
        steps = weights.drop_duplicates("step")
        times = steps["end"] - steps["start"]
        single = float(times[~together[steps.index]].sum())
        found.append(float(times[together[steps.index]].sum()) / single if single > 0 else 1.0)
    return sorted(found)[len(found) // 2]


def _cells(frame: pd.DataFrame) -> tuple[tuple[float, ...], ...]:
    """Rows of stages, columns of slices."""
    return tuple(tuple(float(cell) for cell in row) for row in frame.to_numpy())


def _whole(frame: pd.DataFrame) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(round(cell) for cell in row) for row in frame.to_numpy())
