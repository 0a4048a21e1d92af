"""R draws the random numbers that its F drew: dropout drops the same entries twice.

torch has one generator per device for all threads. So passes of stages that draw take turns, and
only theirs: a stage shows in its first pass whether it does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""Of the generators of the CPU and, where the stages are on one, of the GPU."""


class Replay:
    """The random numbers of one stage.

    turn: a lock that all stages of a run share. device: where they are.
    """

    def __init__(self, turn: threading.Lock, device: str | torch.device) -> None:
        self._turn, self._gpu = turn, None if str(device) == "cpu" else device
        self._draws: bool | None = None

    @contextmanager
    def drawing(self, state: State = ()) -> Iterator[State]:
        """A pass of the stage. Yields the state at its beginning, () where the stage draws nothing.

        state: one from an earlier pass, to begin with; afterwards it is as if nothing was drawn.
        """
        if self._draws is False:
            yield ()
            return
        with self._turn:
            before = self._states()
            if state:
                self._restore(state)
            try:
                yield before
            finally:
                if state:
                    self._restore(before)
                elif self._draws is None:
                    now = self._states()
                    same = map(torch.equal, before, now)
                    self._draws = not all(same)

    def _states(self) -> State:
        cpu = torch.get_rng_state()
        return (cpu,) if self._gpu is None else (cpu, torch.cuda.get_rng_state(self._gpu))

    def _restore(self, state: State) -> None:
        torch.set_rng_state(state[0])
        if self._gpu is not None:
            torch.cuda.set_rng_state(state[1], self._gpu)
