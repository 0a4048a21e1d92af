"""Looped breadth-first: all microbatches through one stage before the next stage of the device."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .interleaved import grouped


def looped_bfs(n_devices: int, n_microbatches: int, *, v: int = 2) -> Schedule:
    """Looped BFS: one group of all microbatches visits the v stages of every device, and back.

    Bubble (p-1)(F+B+W)/v on either clock for m >= p; peak m. In return each stage's gradients are
    ready as soon as its microbatches are through, and its weights are needed only once each way.

    >>> print(looped_bfs(2, 2))
    looped-bfs: 2 devices, 4 stages, 2 microbatches
    device 0 | F0@0 F1@0 F0@2 F1@2 BW0@2 BW1@2 BW0@0 BW1@0
    device 1 | F0@1 F1@1 F0@3 F1@3 BW0@3 BW1@3 BW0@1 BW1@1

    Source: Lamy-Poirier 2022, arXiv 2211.05953, section 4.
    """
    m, n_stages = n_microbatches, n_devices * v
    return Schedule(
        placement=tuple(range(n_devices)) * v,
        orders=tuple(
            (
                *grouped("F", range(r, n_stages, n_devices), m, m),
                *grouped("BW", range(r, n_stages, n_devices)[::-1], m, m),
            )
            for r in range(n_devices)
        ),
        n_microbatches=m,
        name="looped-bfs",
    )


LOOPED_BFS = Family(
    "looped-bfs",
    looped_bfs,
    placement="loop",
    passes="F BW",
    bubble="(p-1)*(F+B+W)/v",
    peak="m",
    exact_when="m >= p",
    options=("v",),
    source="Lamy-Poirier 2022, arXiv 2211.05953, section 4",
)
