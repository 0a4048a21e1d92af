"""torch's pipeline stage, which tells of every pass, and puts weight gradients aside as ours do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from sim import Kind, Op

from ..stages.deferral import Deferral
from ..stages.weight_gradients import accumulate
from ..torch_private.stage import OpenStage

During = Callable[[Op], AbstractContextManager[Any]]
"""The context in which a pass runs, after the wait for its input."""


class ObservedStage(OpenStage):
    """One stage of this rank.

    during: asked for every pass. deferral: where its modules put weight gradients aside; None for
    torch's own split, or where no backward is split. apart: the microbatches that have a W, all
    others are left to torch. whole: what the schedule calls a whole backward, which is B where a
    stage has no W. metadata: what torch is told of its boundaries.
    """

    def __init__(
        self,
        module: nn.Module,
        index: int,
        n_stages: int,
        device: torch.device,
        *,
        during: During,
        deferral: Deferral | None,
        apart: Collection[int] = (),
        whole: Kind = "BW",
        group: dist.ProcessGroup | None = None,
        **metadata: Any,
    ) -> None:
        builder = None if deferral is None else _weight_passes(deferral)
        super().__init__(
            module, index, n_stages, device, group=group, dw_builder=builder, **metadata
        )
        self.during, self.deferral, self.whole = during, deferral, whole
        self.apart = frozenset(apart)

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        op = Op("F", self.stage_index, fwd_chunk_id)
        with self._split(fwd_chunk_id), self.during(op):
            return super().forward_one_chunk(fwd_chunk_id, *args, **kwargs)

    def backward_one_chunk(
        self,
        bwd_chunk_id: int,
        loss: Any = None,
        full_backward: bool = True,
        last_backward: bool = False,
    ) -> Any:
        op = Op(self.whole if full_backward else "B", self.stage_index, bwd_chunk_id)
        with self._split(bwd_chunk_id), self.during(op):
            return super().backward_one_chunk(
                bwd_chunk_id, loss=loss, full_backward=full_backward, last_backward=last_backward
            )

    def backward_weight_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        with self.during(Op("W", self.stage_index, bwd_chunk_id)):
            return super().backward_weight_one_chunk(bwd_chunk_id, *args, **kwargs)

    def _split(self, microbatch: int) -> AbstractContextManager[None]:
        if self.deferral is None or microbatch in self.apart:
            return nullcontext()
        return self.deferral.rest()


def _weight_passes(deferral: Deferral) -> Callable[[], Callable[..., None]]:
    """What torch calls after every B: the W of what that B has put aside."""
    return lambda: functools.partial(accumulate, deferral.take())
