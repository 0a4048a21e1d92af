"""A batch cut into microbatches, and microbatches into slices of the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from torch import Tensor

from .stage import Unit


class Piece(NamedTuple):
    """What the first stage gets of one unit, and the last stage compares with.

    start: tokens of the sequence before this slice. share: part of the whole batch.
    """

    input: Tensor
    target: Tensor | None
    start: int
    share: float


def pieces(
    batch: Tensor,
    targets: Tensor | None,
    *,
    n_microbatches: int,
    n_slices: int,
    lengths: Sequence[int] | None = None,
) -> dict[Unit, Piece]:
    """Rows of `batch` spread over microbatches and columns over slices, as evenly as they go; or
    slices of these `lengths`.

    Shares add up to one, so that a loss that is a mean over rows (and tokens) weighs every row
    alike, however uneven the pieces are.
    """
    _check(batch, "batch", n_microbatches, n_slices)
    if targets is not None:
        _check(targets, "targets", n_microbatches, n_slices)
        axes = 2 if n_slices > 1 else 1
        if targets.shape[:axes] != batch.shape[:axes]:
            raise ValueError(
                f"targets have shape {tuple(targets.shape)} and the batch {tuple(batch.shape)}: "
                f"the first {'two dimensions' if axes > 1 else 'dimension'} must agree"
            )
    cuts = _cuts(batch, n_slices, lengths)
    found: dict[Unit, Piece] = {}
    cut_targets = None if targets is None else targets.tensor_split(n_microbatches)
    for i, rows in enumerate(batch.tensor_split(n_microbatches)):
        goals = None if cut_targets is None else cut_targets[i]
        if n_slices == 1:
            found[Unit(i)] = Piece(rows, goals, 0, len(rows) / len(batch))
            continue
        cut_goals = None if goals is None else goals.tensor_split(cuts, 1)
        start = 0
        for j, part in enumerate(rows.tensor_split(cuts, 1)):
            share = part.shape[0] * part.shape[1] / (batch.shape[0] * batch.shape[1])
            found[Unit(i, j)] = Piece(part, cut_goals[j] if cut_goals else None, start, share)
            start += part.shape[1]
    return found


def _cuts(batch: Tensor, n_slices: int, lengths: Sequence[int] | None) -> tuple[int, ...]:
    """The tokens before every slice but the first."""
    n_tokens = batch.shape[1] if batch.ndim > 1 else 0
    if lengths is None:
        base, longer = divmod(n_tokens, n_slices)
        lengths = [base + (j < longer) for j in range(n_slices)]
        return tuple(accumulate(lengths))[:-1]
    if len(lengths) != n_slices or min(lengths) < 1 or sum(lengths) != n_tokens:
        raise ValueError(
            f"slice lengths are {tuple(lengths)}: give {n_slices} of at least 1 token that add up "
            f"to the {n_tokens} of a sequence"
        )
    return tuple(accumulate(lengths))[:-1]


def _check(tensor: Tensor, name: str, n_microbatches: int, n_slices: int) -> None:
    if not isinstance(tensor, Tensor) or tensor.ndim < 1:
        raise ValueError(f"{name} is {type(tensor).__name__}: it must be a tensor with rows")
    if len(tensor) < n_microbatches:
        raise ValueError(
            f"{name} has {len(tensor)} rows for {n_microbatches} microbatches: give every "
            "microbatch at least one"
        )
    if n_slices > 1 and (tensor.ndim < 2 or tensor.shape[1] < n_slices):
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}: for {n_slices} slices its second dimension "
            f"must have at least {n_slices} tokens"
        )
