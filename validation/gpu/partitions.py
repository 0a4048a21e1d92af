"""Several pipeline devices on one GPU, or on one CPU: apart, and how they disturb each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .at_once import medians
from .setting import Place, Setting


def partitions(setting: Setting, place: Place) -> dict[str, Any]:
    """What each device has, whether that is its own, and the time of the same work with all devices
    busy over the time alone, `(n_devices,)` each for a matrix product and for a copy.

    kind: "green contexts" (disjoint groups of multiprocessors), "plain streams" where the driver
    refuses those, "threads" on a CPU. ran_on: the multiprocessors on which a kernel really ran.
    """
    if setting.device == "cpu":
        return {
            "kind": "threads",
            "multiprocessors": [],
            "ran_on": [],
            "disjoint": None,
            "neighbour_slowdown": _slowdown_of_threads(setting),
            "warnings": [],
        }
    from backend.threads.sm_groups import multiprocessors, neighbour_slowdown, sm_groups

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        groups = sm_groups(setting.n_devices)
    ran_on = [sorted(multiprocessors(group)) for group in groups]
    return {
        "kind": "green contexts" if all(group.green for group in groups) else "plain streams",
        "multiprocessors": [group.multiprocessors for group in groups],
        "ran_on": ran_on,
        "disjoint": len({sm for some in ran_on for sm in some}) == sum(map(len, ran_on)),
        "neighbour_slowdown": neighbour_slowdown(groups, size=setting.matrix),
        "warnings": [str(one.message) for one in caught],
    }


def _slowdown_of_threads(setting: Setting) -> dict[str, list[float]]:
    """As `backend.threads.sm_groups.neighbour_slowdown`, of threads instead of streams."""
    work: dict[str, Callable[[tuple[Tensor, ...]], Any]] = {
        "product": lambda given: torch.mm(given[0], given[1], out=given[2]),
        "copy": lambda given: torch.add(given[0], given[1], out=given[2]),
    }
    size, n = setting.matrix, setting.n_devices
    data = [tuple(torch.randn(size, size) for _ in range(3)) for _ in range(n)]
    torch.set_num_threads(1)
    found = {}
    for name, run in work.items():
        calls = [partial(run, given) for given in data]
        alone = [medians([call], repeats=setting.repeats)[0] for call in calls]
        together = medians(calls, repeats=setting.repeats)
        found[name] = [busy / quiet for busy, quiet in zip(together, alone, strict=True)]
    return found
