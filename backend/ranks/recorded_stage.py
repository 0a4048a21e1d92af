"""torch's pipeline stage, which writes down its passes: their times, or the bytes they keep."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage

from sim import Op

from ..live_bytes import LiveBytes
from ..stages.split_backward import Deferral
from ..stages.weight_gradients import accumulate
from .watch import Watch

Loss = Callable[[Tensor, Tensor], Tensor]


class RankPass(NamedTuple):
    """One pass of one step of the runtime. start, end: seconds on this host's clock.

    before, after, most: live bytes around it and the most inside, where they were counted.
    """

    op: Op
    start: float
    end: float
    before: int = 0
    after: int = 0
    most: int = 0


class RecordedStage(PipelineStage):
    """torch's stage; every pass goes to `log`, timed after the wait for its input.

    watch: told of every pass. deferral: where the modules inside put their weight gradients aside;
    None for torch's own split. shapes: what enters the stage and what leaves it, without data.
    live: set in a step in which bytes are counted instead of seconds.
    """

    def __init__(
        self,
        module: nn.Module,
        index: int,
        n_stages: int,
        device: torch.device,
        log: list[RankPass],
        *,
        watch: Watch,
        deferral: Deferral | None,
        shapes: tuple[Tensor, Tensor],
    ) -> None:
        inside, outside = (
            torch.empty_like(shape, device=device, requires_grad=shape.is_floating_point())
            for shape in shapes
        )
        super().__init__(
            module,
            index,
            n_stages,
            device,
            input_args=(inside.detach() if index == 0 else inside,),
            output_args=(outside,),
            dw_builder=None if deferral is None else _weight_passes(deferral),
        )
        self.log, self.where, self.watch, self.deferral = log, device, watch, deferral
        self.live: LiveBytes | None = None

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        return self._recorded("F", fwd_chunk_id, super().forward_one_chunk, *args, **kwargs)

    def backward_one_chunk(
        self,
        bwd_chunk_id: int,
        loss: Any = None,
        full_backward: bool = True,
        last_backward: bool = False,
    ) -> Any:
        kind = "BW" if full_backward else "B"
        run, deferral = super().backward_one_chunk, self.deferral
        with nullcontext() if deferral is None else deferral.computing(at_once=full_backward):
            return self._recorded(
                kind,
                bwd_chunk_id,
                run,
                loss=loss,
                full_backward=full_backward,
                last_backward=last_backward,
            )

    def backward_weight_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        return self._recorded("W", bwd_chunk_id, super().backward_weight_one_chunk, *args, **kwargs)

    def _recorded(
        self, kind: Any, chunk: int, run: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        live, op = self.live, Op(kind, self.stage_index, chunk)
        if live is None:
            start = seconds_now(self.where)
            with self.watch.within(op):
                found = run(chunk, *args, **kwargs)
            self.log.append(RankPass(op, start, seconds_now(self.where)))
            return found
        before = live.peak = live.now
        with live.counting(), self.watch.within(op):
            found = run(chunk, *args, **kwargs)
        self.log.append(RankPass(op, 0, 0, before, live.now, live.peak))
        return found


def timed_loss(loss_fn: Loss, log: list[RankPass], watch: Watch, device: torch.device) -> Loss:
    """`loss_fn`, its time added to the pass logged last: the last stage's F contains the loss."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        with watch.loss():
            found = loss_fn(output, target)
        log[-1] = log[-1]._replace(end=seconds_now(device))
        return found

    return loss


def seconds_now(device: torch.device) -> float:
    """Seconds on a clock that all processes of a host share, once the device has got so far."""
    finish(device)
    return time.perf_counter()


def finish(device: torch.device) -> None:
    """Waits until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def _weight_passes(deferral: Deferral) -> Callable[[], Callable[..., None]]:
    """What torch calls after every B: the W of what that B has put aside."""
    return lambda: functools.partial(accumulate, deferral.take())
