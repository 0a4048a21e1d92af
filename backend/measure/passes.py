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

from sim import Costs, Schedule, Trace, parse_op

from ..live_bytes import static_tensors, storage_bytes
from ..stages.split_backward import Split
from ..stages.stage import Loss
from ..stages.transformer import next_token_loss
from ..threads.result import RunResult
from ..threads.run import run
from .alone import GROUP, grouped_weights, one_microbatch

if TYPE_CHECKING:
    import pandas as pd

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Passes:
    """What every pass of every stage costs.

    table: a row per `stage` (of S and T: part), `slice` and `kind`: `seconds` (median), `spread`
        (half the range between the quartiles), `mean` (seconds), `cpu` (median CPU seconds, NaN
        where not known), `count` (passes measured), `bytes` (signed change) and `most` (most bytes
        inside the pass above those before it). Estimates have `flops` too.
    boundary_bytes: what crosses each boundary, shape `(n_stages - 1, n_slices)`.
    static_bytes: weights, gradients and buffers, shape `(n_stages,)`.
    group_scale: time of W over several microbatches in one kernel over the sum of single ones.
    kept_bytes: what F keeps where R rebuilds the rest, shape `(n_stages, n_slices)`; None where
        that was not measured.

    What a stage has no pass of has no row, and costs nothing.
    """

    table: pd.DataFrame
    boundary_bytes: tuple[tuple[int, ...], ...]
    static_bytes: tuple[int, ...]
    group_scale: float = 1.0
    kept_bytes: tuple[tuple[int, ...], ...] | None = None

    def costs(self, *, clock: Clock = "wall") -> Costs:
        """The simulator's costs; clock "cpu" takes CPU seconds, for a machine that others use too.

        Wall seconds are means: a makespan is a sum, and sums of medians leave out what happens now
        and then. Static bytes are left out: a run counts what passes keep, and so does this.
        """
        column = "mean" if clock == "wall" else "cpu"
        measured = {*self.table["kind"]}
        found: dict[str, Any] = {
            name: _cells(self._cells_of(kind, column))
            for name, kind in _TIMES.items()
            if kind in measured or name in ("backward", "weight")
        }
        return Costs(
            **found,
            activation_bytes=_whole(self._cells_of("F", "bytes")),
            backward_bytes=_whole(self._cells_of("B", "bytes")),
            boundary_bytes=self.boundary_bytes,
            group_scale=self.group_scale,
            recompute_bytes=self.kept_bytes,
            vocabulary_scores=self._of_parts("S", column),
            vocabulary_gradients=self._of_parts("T", column),
            logits_bytes=round(max(self._of_parts("S", "bytes"))),
        )

    def _of_parts(self, kind: str, column: str) -> tuple[float, ...]:
        """Of S or T, a number per part of the vocabulary, the mean over slices; (0,) without."""
        mine = self.table[self.table["kind"] == kind].groupby("stage")[column].mean()
        return tuple(map(float, mine)) or (0.0,)

    def _cells_of(self, kind: str, column: str) -> pd.DataFrame:
        """Of a kind of pass, rows of stages and columns of slices; zeros where there is none."""
        forward = self.table[self.table["kind"] == "F"]
        shape = range(forward["stage"].max() + 1), range(forward["slice"].max() + 1)
        mine = self.table[self.table["kind"] == kind].set_index(["stage", "slice"])[column]
        found: Any = mine.unstack("slice")
        cells: pd.DataFrame = found.reindex(index=shape[0], columns=shape[1], fill_value=0)
        return cells


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
    like: Schedule | None = None,
) -> Passes:
    """F, B, W and BW of every stage for **one microbatch**, `batch`, with nothing else running.

    like: a schedule that the passes are for: as many slices, stages that train as much as its do,
        R, or O and L, where it has them, and S and T of as many parts of the vocabulary, which run
        beside each other.
    stages, batch, targets, loss_fn, split, device: as in `backend.run`.
    steps, warmup: how often each pass is timed, and run before that. grouped: whether to measure
    `group_scale` too, which takes several times as long.
    partitions: one stream, to measure on the part of the GPU that the passes will run on.

    Raises what `backend.run` raises.
    """
    import pandas as pd

    kinds, trains = ["BW", "B W"], like.trains if like else ()
    if like:
        n_slices = like.n_slices
        levers = {*like.levers.values()}
        kinds += [name for lever, name in (("R", "R BW"), ("O", "O L BW")) if lever in levers]
    options: dict[str, Any] = {
        "loss_fn": loss_fn,
        "split": split,
        "device": device,
        "warmup": warmup,
        "partitions": partitions,
    }
    results = {
        name: run(
            one_microbatch(
                len(stages),
                n_slices,
                name,
                trains,
                vocabulary=like.vocabulary if like else 0,
                placement=like.placement if like else (),
            ),
            stages,
            batch,
            targets=targets,
            steps=steps,
            memory=1,
            **options,
        )
        for name in kinds
    }
    usual, levered = kinds[:2], kinds[2:]
    table = pass_table([trace for name in usual for trace in results[name].traces])
    kept = None
    for name in levered:
        rows = pass_table(results[name].traces)
        mine = rows["kind"].isin([*"ROL"])
        table = pd.concat([table, rows[mine]], ignore_index=True)
        if "R" in name:
            kept = Passes(rows[rows["kind"] == "F"], (), ())._cells_of("F", "bytes")
    group = 1.0
    if grouped and n_slices == 1 and not trains:
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
    crossing = results["BW"].boundary_bytes
    static = tuple(storage_bytes(static_tensors(module)) for module in stages)
    return Passes(table, crossing, static, group, None if kept is None else _whole(kept))


_TIMES = {
    "forward": "F", "backward": "B", "weight": "W", "fused_backward": "BW",
    "recompute": "R", "offload": "O", "load": "L",
}  # fmt: skip
"""Fields of `Costs`, and the kinds of passes that they are about."""


def pass_table(traces: Sequence[Trace]) -> pd.DataFrame:
    """Medians and means over all microbatches of all `traces`; see `Passes.table`.

    Passes in fused steps are left out of the times: a step is timed as a whole.
    """
    import pandas as pd

    ops = pd.concat([_single(trace.ops) for trace in traces])
    sizes = pd.concat([_sizes(trace) for trace in traces])
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


def _sizes(trace: Trace) -> pd.DataFrame:
    """Per pass its signed bytes on its own device, and the most inside it above those before."""
    ops = [parse_op(reason) for reason in trace.memory["reason"]]
    homes = [trace.schedule.device_of(op) for op in ops]
    here = trace.memory["device"].to_numpy() == homes
    memory: pd.DataFrame = trace.memory[here]
    ops = [op for op, mine in zip(ops, here, strict=True) if mine]
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
