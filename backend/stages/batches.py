"""A batch cut into microbatches, and microbatches into slices of the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from .stage import Unit

Batch = Tensor | Sequence[Tensor]
"""Rows of all microbatches, or a list with the rows of each, which may differ in number and in
length."""


class Piece(NamedTuple):
    """What the first stage gets of one unit, and the last stage compares with.

    start: tokens of the sequence before this slice. share: part of the whole batch.
    """

    input: Tensor
    target: Tensor | None
    start: int
    share: float


def pieces(
    batch: Batch,
    targets: Batch | None,
    *,
    n_microbatches: int,
    n_slices: int,
    lengths: Sequence[int] | None = None,
) -> dict[Unit, Piece]:
    """Rows of `batch` spread over microbatches and columns over slices, as evenly as they go; or
    slices of these `lengths`. Where batch and targets are lists, they have an entry per microbatch.

    Shares add up to one, so that a loss that is a mean over rows (and tokens) weighs every row
    alike, however uneven the pieces are. A microbatch of a list weighs as much as its targets have
    entries, or without targets its inputs in their first two dimensions.
    """
    given = _microbatches(batch, targets, n_microbatches, n_slices)
    weights = [part.shape[0] if goals is None else len(goals) for part, goals in given]
    if not isinstance(batch, Tensor):
        weights = [
            part.shape[:2].numel() if goals is None else goals.numel() for part, goals in given
        ]
    found: dict[Unit, Piece] = {}
    for i, ((rows, goals), weight) in enumerate(zip(given, weights, strict=True)):
        whole = weight / sum(weights)
        if n_slices == 1:
            found[Unit(i)] = Piece(rows, goals, 0, whole)
            continue
        cuts = _cuts(rows, n_slices, lengths)
        cut_goals = None if goals is None else goals.tensor_split(cuts, 1)
        start = 0
        for j, part in enumerate(rows.tensor_split(cuts, 1)):
            share = whole * part.shape[1] / rows.shape[1]
            found[Unit(i, j)] = Piece(part, cut_goals[j] if cut_goals else None, start, share)
            start += part.shape[1]
    return found


def tensors_of(batch: Batch | None) -> list[Tensor]:
    """All tensors of a batch, or of its targets."""
    if batch is None:
        return []
    return [batch] if isinstance(batch, Tensor) else list(batch)


def moved(batch: Batch | None, device: str | torch.device) -> Batch | None:
    """The same batch on `device`."""
    if batch is None or isinstance(batch, Tensor):
        return None if batch is None else batch.to(device)
    return [tensor.to(device) for tensor in batch]


def _microbatches(
    batch: Batch, targets: Batch | None, n_microbatches: int, n_slices: int
) -> list[tuple[Tensor, Tensor | None]]:
    """Inputs and targets of every microbatch, checked."""
    if isinstance(batch, Tensor) and isinstance(targets, Tensor | None):
        _check(batch, "batch", n_microbatches, n_slices)
        rows = batch.tensor_split(n_microbatches)
        if targets is None:
            return [(part, None) for part in rows]
        _check(targets, "targets", n_microbatches, n_slices)
        _agree(batch, targets, n_slices)
        return [*zip(rows, targets.tensor_split(n_microbatches), strict=True)]
    for name, listed in (("batch", batch), ("targets", targets)):
        if listed is not None and (isinstance(listed, Tensor) or len(listed) != n_microbatches):
            found = "no list" if isinstance(listed, Tensor) else f"a list of {len(listed)}"
            raise ValueError(
                f"{name} is {found} for {n_microbatches} microbatches: give an entry for each, in "
                "batch and targets alike"
            )
    goals = [None] * n_microbatches if targets is None else [*targets]
    given = [*zip(batch, goals, strict=True)]
    for i, (part, goal) in enumerate(given):
        _check(part, f"batch of microbatch {i}", 1, n_slices)
        if goal is not None:
            _check(goal, f"targets of microbatch {i}", 1, n_slices)
            _agree(part, goal, n_slices)
    return given


def _agree(batch: Tensor, targets: Tensor, n_slices: int) -> None:
    axes = 2 if n_slices > 1 else 1
    if targets.shape[:axes] != batch.shape[:axes]:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} and the batch {tuple(batch.shape)}: "
            f"the first {'two dimensions' if axes > 1 else 'dimension'} must agree"
        )


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
        many = "" if n_microbatches == 1 else "es"
        raise ValueError(
            f"{name} has {len(tensor)} rows for {n_microbatches} microbatch{many}: give every "
            "microbatch at least one"
        )
    if n_slices > 1 and (tensor.ndim < 2 or tensor.shape[1] < n_slices):
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}: for {n_slices} slices its second dimension "
            f"must have at least {n_slices} tokens"
        )
