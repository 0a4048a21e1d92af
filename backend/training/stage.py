"""torch's pipeline stage as training needs it.

What it adds: fused backward passes compute weight gradients at once; targets may be anything;
every microbatch has its own shapes; and the process knows which pass it is in.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sim import Kind, Op

from ..ranks.watch import Watch
from ..stages.split_backward import Deferral
from ..stages.weight_gradients import accumulate
from .microbatches import Batch, Goal


class TrainedStage(PipelineStage):
    """One stage of this rank.

    deferral: where its modules put weight gradients aside; None for torch's own split, or where
    no backward is split. watch: told of every pass. whole: what the schedule calls a whole
    backward, which is B where a stage has no W. rebuilt: the microbatches whose forward keeps only
    its input, and runs again when their backward does. metadata: what crosses the boundaries, for
    each microbatch (`torch_private.prepare_boundaries`).
    """

    def __init__(
        self,
        module: nn.Module,
        index: int,
        n_stages: int,
        device: torch.device,
        *,
        group: dist.ProcessGroup | None,
        deferral: Deferral | None,
        watch: Watch,
        whole: Kind = "BW",
        rebuilt: Collection[int] = (),
    ) -> None:
        builder = None
        if deferral is not None:
            builder = lambda: functools.partial(accumulate, deferral.take())  # noqa: E731
        super().__init__(module, index, n_stages, device, group=group, dw_builder=builder)
        self.deferral, self.watch, self.whole = deferral, watch, whole
        self.metadata: list[Any] = []
        self.rebuilt, self.rebuilds = frozenset(rebuilt), False

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        self.rebuilds = fwd_chunk_id in self.rebuilt
        with self.watch.within(Op("F", self.stage_index, fwd_chunk_id)):
            return super().forward_one_chunk(fwd_chunk_id, *args, **kwargs)

    def forward_maybe_with_nosync(self, *args: Any, **kwargs: Any) -> Any:
        if self.rebuilds:
            return checkpoint(self.submod, *args, use_reentrant=False, **kwargs)
        return super().forward_maybe_with_nosync(*args, **kwargs)  # type: ignore[no-untyped-call]

    def backward_one_chunk(
        self,
        bwd_chunk_id: int,
        loss: Any = None,
        full_backward: bool = True,
        last_backward: bool = False,
    ) -> Any:
        self._stage_meta = self.metadata[bwd_chunk_id]
        op = Op(self.whole if full_backward else "B", self.stage_index, bwd_chunk_id)
        deferral = self.deferral
        fused = nullcontext() if deferral is None else deferral.computing(at_once=full_backward)
        with self.watch.within(op), fused:
            return super().backward_one_chunk(
                bwd_chunk_id, loss=loss, full_backward=full_backward, last_backward=last_backward
            )

    def backward_weight_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        with self.watch.within(Op("W", self.stage_index, bwd_chunk_id)):
            return super().backward_weight_one_chunk(bwd_chunk_id, *args, **kwargs)

    def get_bwd_send_ops(self, bwd_chunk_id: int) -> Any:
        self._stage_meta = self.metadata[bwd_chunk_id]  # the shape of a gradient that is missing
        return super().get_bwd_send_ops(bwd_chunk_id)

    def example(self, batch: Batch) -> list[Tensor]:
        """Something of the shapes of what the first microbatch brings to this stage."""
        if self.is_first:
            return list(batch.inputs[0])
        return [
            torch.zeros(meta.shape, dtype=meta.dtype, device=self.device)
            for meta in self.metadata[0].inputs
        ]

    def _compute_outputs(self, *args: Any, **kwargs: Any) -> Any:
        module = self.submod
        # DDP would wait for a backward of the trial, and take the first real one for it.
        alone = module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
        with self.watch.trying(Op("F", self.stage_index, 0)), alone:
            found = super()._compute_outputs(*args, **kwargs)
            for out in found if isinstance(found, tuple | list) else (found,):
                if not isinstance(out, Tensor):
                    raise TypeError(
                        f"stage {self.stage_index} returned {type(found).__name__}: it must return "
                        "a tensor or a tuple of them"
                    )
            return found

    def _compute_input_grads(self, *args: Any, **kwargs: Any) -> Any:
        with self.watch.trying(Op(self.whole, self.stage_index, 0)):
            return super()._compute_input_grads(*args, **kwargs)

    def _to_tensor(self, arg: Any) -> Any:
        return arg if isinstance(arg, Goal) else super()._to_tensor(arg)
