"""What the local engine cannot run, said before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from torch import nn

from sim import Schedule

from ..stages.split_backward import SPLITS
from ..torch_private import checked_torch


def require_runnable(schedule: Schedule, stages: Sequence[nn.Module], split: str) -> None:
    """ValueError if `stages` cannot run `schedule` with that split of the backward."""
    if len(stages) != schedule.n_stages:
        raise ValueError(
            f"got {len(stages)} stages, but {schedule.name} has {schedule.n_stages}: give a module "
            "for each"
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


def require_counts(*, steps: int, warmup: int, memory: int, timeout: float) -> None:
    """ValueError for a number of iterations, or of seconds, that is none."""
    for name, number, least in (("steps", steps, 1), ("warmup", warmup, 0), ("memory", memory, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"{name} is {number!r}: it must be a whole number >= {least}")
    if memory > 1:
        raise ValueError(f"memory is {memory}: bytes are exact, one iteration is enough")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}: give seconds > 0")
