"""The chains of passes that a microbatch must go through before a pass, and after it."""

from __future__ import annotations

from typing import NamedTuple

from .workload import PassType, Time, Workload


class Chains(NamedTuple):
    """The longest chains to the start (`head`) and from the end (`tail`) of passes, in ticks.

    first, last: the smallest head and the smallest tail on the device.
    """

    head: dict[PassType, Time]
    tail: dict[PassType, Time]
    first: Time
    last: Time


def absolute(work: Workload) -> list[Chains]:
    """Chains from the start of the schedule, and to its end; the same for each device but for
    `first` and `last`."""
    head, tail = _heads(work, None), _tails(work, None)
    return [
        Chains(
            head,
            tail,
            min((head[which] for which in work.own(device)), default=0),
            min((tail[which] for which in work.own(device)), default=0),
        )
        for device in range(len(work.total))
    ]


def relative(work: Workload, device: int) -> Chains:
    """Chains from the first pass of a device, and to its last one; passes without such chains are
    left out."""
    return Chains(_heads(work, device), _tails(work, device), 0, 0)


def _heads(work: Workload, device: int | None) -> dict[PassType, Time]:
    source = None if device is None else PassType("F", work.stages_of[device][0], 0)
    head: dict[PassType, Time] = {}
    for which in work.order:
        ways = [
            min(head[before] + work.latency[before] for before in known) + send
            for choices, send in work.inputs[which]
            if (known := [before for before in choices if before in head])
        ]
        if ways:
            head[which] = max(ways)
        elif source is None or which == source:
            head[which] = 0
    return head


def _tails(work: Workload, device: int | None) -> dict[PassType, Time]:
    tail: dict[PassType, Time] = {}
    for which in reversed(work.order):
        ways = [
            send + min(work.latency[after] + tail[after] for after in known)
            for choices, send in work.outputs[which]
            if (known := [after for after in choices if after in tail])
        ]
        if device is None:  # after every weight gradient the sum of them is still to come
            ways.append(work.summing[which.stage] if which.kind in ("W", "BW") else 0)
        elif work.on(which, device):
            ways.append(0)
        if ways:
            tail[which] = max(ways)
    return tail
