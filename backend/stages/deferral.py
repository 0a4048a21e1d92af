"""What the backward passes of one device have put aside for its weight passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .weight_gradients import Contribution, accumulate


class Deferral:
    """The modules of one device that are split, and what their backward passes have put aside.

    at_once: compute weight gradients inside the backward pass instead: a fused BW. resting: modules
    run as they are, and nothing is put aside.
    swaps: (module, the forward it gets instead of its own). modules: those known by their class.
    watched: those split by what they compute. done: (id of a watched module, name of its parameter)
    of all parameters that were split so far.
    """

    def __init__(self) -> None:
        self.swaps: list[tuple[nn.Module, Callable[..., Any]]] = []
        self.modules: list[nn.Module] = []
        self.watched: list[nn.Module] = []
        self.done: set[tuple[int, str]] = set()
        self.at_once = self.resting = False
        self._aside: list[Contribution] = []

    def put(self, contribution: Contribution) -> None:
        """Called by the swapped modules during a backward pass."""
        if self.at_once:
            accumulate((contribution,))
        else:
            self._aside.append(contribution)

    @contextmanager
    def computing_at_once(self) -> Iterator[None]:
        """A backward pass whose weight gradients are computed in it: a fused BW."""
        self.at_once = True
        try:
            yield
        finally:
            self.at_once = False

    @contextmanager
    def rest(self) -> Iterator[None]:
        """A pass of a microbatch that has no W: all that torch does by itself is right, and faster.

        Its forward and its backward have to agree about it, because checkpointing repeats one in
        the other.
        """
        self.resting = True
        try:
            yield
        finally:
            self.resting = False

    def take(self) -> tuple[Contribution, ...]:
        """Everything put aside since the last call: right after a B, that is what its W needs."""
        taken, self._aside = tuple(self._aside), []
        return taken
