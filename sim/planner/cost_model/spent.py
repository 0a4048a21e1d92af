"""Where the seconds of passes go: the parts that a plan shows."""

from __future__ import annotations

from typing import NamedTuple

from .flops import Passes

NONE = Passes(0.0, 0.0, 0.0)


class Spent(NamedTuple):
    """Seconds of F, B and W by what they are spent on. work: kernels of the passes themselves.
    recompute: kernels run again. tensor, context, experts: waiting for collectives of tensor
    parallelism, for parts of the sequence, for tokens to reach experts. vocabulary: waiting for
    sums over the pipeline. sharding: waiting for gathered weights and reduced gradients."""

    work: Passes = NONE
    recompute: Passes = NONE
    tensor: Passes = NONE
    context: Passes = NONE
    experts: Passes = NONE
    vocabulary: Passes = NONE
    sharding: Passes = NONE

    @property
    def passes(self) -> Passes:
        """All of it together, by pass."""
        return total(self)

    def times(self, factor: float) -> Spent:
        """So many of it."""
        return Spent(*(Passes(*(factor * each for each in passes)) for passes in self))

    def totals(self) -> dict[str, float]:
        """Seconds of all three passes by part."""
        return {name: passes.total for name, passes in zip(self._fields, self, strict=True)}


def total(passes: tuple[Passes, ...]) -> Passes:
    """The sum by pass."""
    return Passes(*map(sum, zip(*passes, strict=True)))


def added(parts: tuple[Spent, ...]) -> Spent:
    """The sum by part and by pass."""
    return Spent(*map(total, zip(*parts, strict=True)))
