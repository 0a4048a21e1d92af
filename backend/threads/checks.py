"""What the local engine cannot run, said before anything runs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence

from torch import nn

from sim import Kind, Schedule

from ..stages.frozen import wholly_trained
from ..stages.split_backward import SPLITS
from ..stages.stage import Loss
from ..stages.transformer import next_token_loss
from ..torch_private.versions import checked_torch

PLAYED: frozenset[Kind] = frozenset(("F", "B", "W", "BW", "R", "O", "L", "S", "T"))
"""Kinds of passes that the local engine runs."""


def unknown_passes(schedule: Schedule) -> frozenset[Kind]:
    """The kinds of passes in `schedule` that the local engine does not run."""
    return frozenset(op.kind for order in schedule.orders for op in order) - PLAYED


def require_runnable(schedule: Schedule, stages: Sequence[nn.Module], split: str) -> None:
    """ValueError if `stages` cannot run `schedule` with that split of the backward."""
    if len(stages) != schedule.n_stages:
        raise ValueError(
            f"got {len(stages)} stages, but {schedule.name} has {schedule.n_stages}: give a module "
            "for each"
        )
    if beyond := unknown_passes(schedule):
        raise ValueError(
            f"{schedule.name} has passes {min(beyond)}, which the local engine cannot run yet: it "
            f"runs {', '.join(sorted(PLAYED))}"
        )
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: use one of {', '.join(SPLITS)}")
    if split == "native":
        checked_torch()
    if schedule.n_slices == 1:
        return
    if split == "native":
        raise ValueError("torch's own split knows no slices: use split 'deferred'")
    for number, module in enumerate(stages):
        if "cache" not in inspect.signature(module.forward).parameters:
            raise ValueError(
                f"stage {number} ({type(module).__name__}) takes no cache: with slices, attention "
                "must see the keys and values of earlier ones, so forward needs an argument 'cache'"
            )


def require_trained(schedule: Schedule, stages: Sequence[nn.Module]) -> None:
    """ValueError if a stage that trains nothing shares parameters with one that is trained; a
    warning where one is said to train adapters, and wants gradients of everything it has."""
    frozen: dict[int, int] = {}
    for number, trained in enumerate(schedule.trains):
        if trained == "nothing":
            frozen |= {id(parameter): number for parameter in stages[number].parameters()}
    for number, trained in enumerate(schedule.trains):
        for name, parameter in stages[number].named_parameters():
            if trained != "nothing" and id(parameter) in frozen:
                raise ValueError(
                    f"stage {frozen[id(parameter)]} trains nothing, but shares {name} with stage "
                    f"{number}, which is trained: give each a parameter of its own"
                )
    whole = {*wholly_trained(stages)}
    for number, trained in enumerate(schedule.trains):
        if trained == "adapters" and number in whole:
            warnings.warn(
                f"stage {number} trains adapters alone, but all its parameters want gradients, so "
                "B computes them all: freeze its weights, as backend.adapted(module) does",
                stacklevel=3,
            )


def require_cross_entropy(schedule: Schedule, targets: object, loss_fn: Loss) -> None:
    """ValueError for another loss, or none, where all devices share the vocabulary."""
    if schedule.vocabulary and (targets is None or loss_fn is not next_token_loss):
        what = "has no targets" if targets is None else "has a loss_fn of its own"
        raise ValueError(
            f"in {schedule.name} all devices share the vocabulary, but the run {what}: the parts "
            "compute the cross entropy at targets, so give targets and leave loss_fn out"
        )


def checked_host(bandwidth: float | None, latency: float, kind: str) -> Callable[[int], float]:
    """Seconds that a copy of so many bytes to the host takes at least; ValueError for a bandwidth
    or a latency that is none, and on a GPU, whose link is as fast as it is."""
    for name, value in (("host_bandwidth", bandwidth), ("host_latency", latency)):
        number = not isinstance(value, bool) and isinstance(value, (int, float))
        positive = number and (value or 0) >= 0 and not (name == "host_bandwidth" and value == 0)
        if value is not None and not positive:
            unit = "bytes per second > 0" if name == "host_bandwidth" else "seconds >= 0"
            raise ValueError(f"{name} is {value!r}: give {unit}")
        if value and kind == "cuda":
            raise ValueError(f"{name} is {value!r}, but the link of a GPU is real: leave it out")
    return lambda size: latency + (size / bandwidth if bandwidth else 0.0)


def require_counts(*, steps: int, warmup: int, memory: int, timeout: float) -> None:
    """ValueError for a number of iterations, or of seconds, that is none."""
    for name, number, least in (("steps", steps, 1), ("warmup", warmup, 0), ("memory", memory, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"{name} is {number!r}: it must be a whole number >= {least}")
    if memory > 1:
        raise ValueError(f"memory is {memory}: bytes are exact, one iteration is enough")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}: give seconds > 0")
