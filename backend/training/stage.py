"""torch's pipeline stage as training needs it.

What it adds: fused backward passes compute weight gradients at once; targets may be anything;
every microbatch has its own shapes; and the process knows which pass it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sim import Kind, Op

from ..ranks.observed_stage import ObservedStage
from ..ranks.watch import Watch
from ..stages.deferral import Deferral
from .microbatches import Batch, Goal


class TrainedStage(ObservedStage):
    """One stage of this rank.

    watch: told of every pass. rebuilt: the microbatches whose forward keeps only its input, and
    runs again when their backward does. metadata: what crosses the boundaries, for each microbatch
    (`torch_private.boundaries`). The rest: see `ObservedStage`.
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
        apart: Collection[int],
        watch: Watch,
        whole: Kind = "BW",
        rebuilt: Collection[int] = (),
    ) -> None:
        super().__init__(
            module, index, n_stages, device,
            during=watch.within, deferral=deferral, apart=apart, whole=whole, group=group,
        )  # fmt: skip
        self.watch = watch
        self.metadata: list[Any] = []
        self.rebuilt, self.rebuilds = frozenset(rebuilt), False

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        self.rebuilds = fwd_chunk_id in self.rebuilt
        return super().forward_one_chunk(fwd_chunk_id, *args, **kwargs)

    def forward_maybe_with_nosync(self, *args: Any, **kwargs: Any) -> Any:
        if self.rebuilds:
            return checkpoint(self.submod, *args, use_reentrant=False, **kwargs)
        return super().forward_maybe_with_nosync(*args, **kwargs)  # type: ignore[no-untyped-call]

    def backward_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        self.set_crossing(self.metadata[bwd_chunk_id])
        return super().backward_one_chunk(bwd_chunk_id, *args, **kwargs)

    def get_bwd_send_ops(self, bwd_chunk_id: int) -> Any:
        self.set_crossing(self.metadata[bwd_chunk_id])  # the shape of a gradient that is missing
        return super().get_bwd_send_ops(bwd_chunk_id)

    def example(self, batch: Batch) -> list[Tensor]:
        """Something of the shapes of what the first microbatch brings to this stage."""
        if self.is_first:
            return list(batch.inputs[0])
        return [
            torch.zeros(meta.shape, dtype=meta.dtype, device=self.device)
            for meta in self.metadata[0].inputs
        ]

    def forward_trial(self, run: Callable[[], Any]) -> Any:
        module = self.submod
        # DDP would wait for a backward of the trial, and take the first real one for it.
        alone = module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
        with self.watch.trying(Op("F", self.stage_index, 0)), alone:
            found = run()
            for out in found if isinstance(found, tuple | list) else (found,):
                if not isinstance(out, Tensor):
                    raise TypeError(
                        f"stage {self.stage_index} returned {type(found).__name__}: it must return "
                        "a tensor or a tuple of them"
                    )
            return found

    def backward_trial(self, run: Callable[[], Any]) -> Any:
        with self.watch.trying(Op(self.whole, self.stage_index, 0)):
            return run()

    def as_example(self, value: Any) -> Any:
        return value if isinstance(value, Goal) else super().as_example(value)
