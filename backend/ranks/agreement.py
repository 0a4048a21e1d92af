"""Whether the ranks of a pipeline can work together: asked once, and before every step.

Every rank says what it has, and its own objection if it has one; all of them read all answers, so
all raise the same sentence, and none is left waiting.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from sim import Schedule

from .faults import Mismatch


class Claim(NamedTuple):
    """What a rank says of itself before the first step.

    fingerprint: of its schedule. objection: what is wrong already, "" if nothing is. key: a text
    nobody else has; that of the first rank names the pipeline. batch: shapes, if they are known.
    """

    objection: str
    schedule: str
    fingerprint: str
    split: str
    device: str
    torch: str
    key: str
    batch: str = ""


def claim(schedule: Schedule, objection: str, *, split: str, device: str, batch: str = "") -> Claim:
    """What this rank says of itself."""
    return Claim(
        objection,
        f"{schedule.name} (p={schedule.n_devices}, m={schedule.n_microbatches})",
        fingerprint(schedule),
        split,
        device,
        torch.__version__,
        uuid.uuid4().hex,
        batch,
    )


def fingerprint(schedule: Schedule) -> str:
    """A short text that two schedules share only if they play the same passes in the same order."""
    orders = [" ".join(map(str, order)) for order in schedule.orders]
    text = f"{schedule.n_microbatches} {schedule.n_slices} {schedule.placement} {orders}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def agreed(mine: Claim, group: dist.ProcessGroup | None, ranks: Sequence[int]) -> Claim:
    """The claim of the first rank, once all agree; Mismatch with one sentence where they do not."""
    claims: list[Any] = [None] * len(ranks)
    try:
        dist.all_gather_object(claims, mine, group=group)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise Mismatch(
            f"not all ranks of {list(ranks)} have come this far: one has failed before, or has "
            f"another group ({reason})"
        ) from None
    first = claims[0]
    for rank, told in zip(ranks, claims, strict=True):
        for have, other, what in (
            (told.torch, first.torch, "torch"),
            (told.schedule, first.schedule, "schedule"),
            (told.fingerprint, first.fingerprint, "order of passes"),
            (told.split, first.split, "split"),
            (told.device, first.device, "kind of device"),
            (told.batch, first.batch, "batch"),
        ):
            if have != other:
                raise Mismatch(
                    f"rank {rank} has another {what} than rank {ranks[0]}: {have}, not {other}"
                )
    for rank, told in zip(ranks, claims, strict=True):
        if told.objection:
            raise Mismatch(f"rank {rank}: {told.objection}")
    assert isinstance(first, Claim)
    return first


class Given(NamedTuple):
    """What a rank was given for one step, as numbers: see `microbatches.number`.

    mode: which method was called. x, target: of shapes, 0 where there is none. keys: of each
    microbatch, `(n_microbatches,)`: whatever may decide what crosses the boundaries.
    """

    mode: int
    x: int
    target: int
    keys: tuple[int, ...]


class Words(NamedTuple):
    """The same in words, exchanged only when something does not fit."""

    objection: str
    mode: str
    x: str
    target: str


def agreed_step(
    given: Given, words: Words, group: dist.ProcessGroup | None, ranks: Sequence[int]
) -> list[tuple[int, ...]]:
    """The keys of all ranks for each microbatch; Mismatch where ranks were given what does not fit.

    One collective of a few numbers, on the host.
    """
    mine = torch.tensor([bool(words.objection), given.mode, given.x, given.target, *given.keys])
    found = [torch.empty_like(mine) for _ in ranks]
    dist.all_gather(found, mine, group=group)
    table = torch.stack(found)
    if table[:, 0].any() or not all(_alike(table[:, column]) for column in (1, 2, 3)):
        _complain(words, group, ranks)
    return [tuple(column) for column in table[:, 4:].t().tolist()]


def host_group(group: dist.ProcessGroup | None) -> dist.ProcessGroup | None:
    """A group of the same ranks that carries numbers of the host; `group` itself if it does."""
    if "cpu:" in str(dist.get_backend_config(group)):
        return group
    found: dist.ProcessGroup | None = dist.new_group(
        dist.get_process_group_ranks(group), backend="gloo", use_local_synchronization=True
    )
    return found


def _alike(column: Tensor) -> bool:
    """Whether all numbers but zeros are the same."""
    return len({*column.tolist()} - {0}) <= 1


def _complain(words: Words, group: dist.ProcessGroup | None, ranks: Sequence[int]) -> None:
    everyone: list[Any] = [None] * len(ranks)
    dist.all_gather_object(everyone, words, group=group)
    for rank, said in zip(ranks, everyone, strict=True):
        if said.objection:
            raise Mismatch(f"rank {rank}: {said.objection}")
    for name in ("mode", "x", "target"):
        told = [
            (rank, getattr(said, name))
            for rank, said in zip(ranks, everyone, strict=True)
            if getattr(said, name)
        ]
        for rank, text in told:
            if text != told[0][1]:
                if name == "mode":
                    what, rule = "called", "call the same on every rank"
                else:
                    what = f"was given {name} of"
                    rule = "give every rank the same batch, or None where it is not needed"
                raise Mismatch(f"rank {rank} {what} {text}, rank {told[0][0]} {told[0][1]}: {rule}")
    raise Mismatch("ranks were given batches that do not fit together")
