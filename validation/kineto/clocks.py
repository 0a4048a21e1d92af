"""One clock for all ranks: hosts have their own, and only messages tell them apart.

A message from rank a to rank b has left before it arrives. With c the correction of a clock,

    sent + c[a] <= arrived + c[b]

so every message bounds c[b] - c[a] from one side, and messages the other way from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


class Message(NamedTuple):
    """A value between two ranks: when its writer ended, and when its reader began, own clocks."""

    source: int
    destination: int
    sent: float
    arrived: float


def corrections(hosts: Sequence[str], messages: Iterable[Message]) -> tuple[list[float], float]:
    """Seconds to add to the clock of each rank, and by how much they may be off.

    Ranks of one host share a clock, unless most messages from one to another arrive before they
    were sent (a few seem to, where a pass began before its wait was over): then they are containers
    or machines of one name. Others are put in the middle of what messages allow.
    Raises ValueError where no message joins them.
    """
    messages = list(messages)
    groups = [hosts.index(host) for host in hosts]
    gaps: dict[tuple[int, int], list[float]] = {}
    for each in messages:
        if groups[each.source] == groups[each.destination]:
            pair = each.source, each.destination
            gaps.setdefault(pair, []).append(each.arrived - each.sent)
    denied = {hosts[source] for (source, _), each in gaps.items() if median(each) < 0}
    groups = [
        rank if host in denied else group
        for rank, (host, group) in enumerate(zip(hosts, groups, strict=True))
    ]
    low: dict[tuple[int, int], float] = {}
    for source, destination, sent, arrived in messages:
        a, b = groups[source], groups[destination]
        if a != b:
            low[a, b] = max(low.get((a, b), float("-inf")), sent - arrived)
    known, doubt = {groups[0]: 0.0}, 0.0
    while missing := {*groups} - {*known}:
        joint = [(a, b) for a, b in low if a in known and b in missing and (b, a) in low]
        if not joint:
            raise ValueError(
                f"the clocks of hosts {hosts[0]} and {hosts[min(missing)]} cannot be compared: no "
                "messages both ways"
            )
        a, b = joint[0]
        least, most = low[a, b], -low[b, a]
        known[b] = known[a] + (least + most) / 2
        doubt = max(doubt, abs(most - least) / 2)
    return [known[group] for group in groups], doubt
