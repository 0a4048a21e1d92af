"""What is written down of every pass of a rank: its times, or the bytes it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from sim import Op

from ..live_bytes import LiveBytes
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


class Recorder:
    """The passes of this rank, in order; a failed one is `watch`'s to tell.

    live: set in a step in which bytes are counted instead of seconds.
    """

    def __init__(self, watch: Watch, device: torch.device) -> None:
        self.log: list[RankPass] = []
        self.live: LiveBytes | None = None
        self._watch, self._device = watch, device

    @contextmanager
    def during(self, op: Op) -> Iterator[None]:
        """The context of one pass."""
        live = self.live
        if live is None:
            start = seconds_now(self._device)
            with self._watch.within(op):
                yield
            self.log.append(RankPass(op, start, seconds_now(self._device)))
            return
        before = live.peak = live.now
        with live.counting(), self._watch.within(op):
            yield
        self.log.append(RankPass(op, 0, 0, before, live.now, live.peak))

    def timed(self, loss_fn: Loss) -> Loss:
        """`loss_fn`, its time added to the pass before: the last stage's F contains the loss."""

        def loss(output: Tensor, target: Tensor) -> Tensor:
            with self._watch.loss():
                found = loss_fn(output, target)
            self.log[-1] = self.log[-1]._replace(end=seconds_now(self._device))
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
