"""What all workers of a run share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sim import Schedule

from ..stages.batches import Piece
from ..stages.stage import Loss, Unit
from .board import Board
from .lanes import Timestamp
from .mail import Mailbox
from .records import Purpose


@dataclass(frozen=True)
class Job:
    """One run of `schedule`.

    pieces: input and target of every unit. delay: seconds of a transfer between two devices, from
    (source, destination, bytes). host_seconds: what a copy of so many bytes to the host, or from
    there, takes at least. mailboxes: one per device. purposes: of the iterations, in order.
    autocast: makes the context that forward passes run in. static: tensors that are not counted.
    barrier: all workers meet here before and after an iteration. origin: a list of one timestamp,
    the moment at which the iteration began.
    """

    schedule: Schedule
    pieces: dict[Unit, Piece]
    loss: Loss
    delay: Callable[[int, int, int], float]
    host_seconds: Callable[[int], float]
    mailboxes: Sequence[Mailbox]
    board: Board
    purposes: Sequence[Purpose]
    autocast: Callable[[], AbstractContextManager[Any]]
    static: Sequence[Tensor]
    barrier: threading.Barrier
    origin: list[Timestamp]
