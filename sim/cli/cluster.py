"""From options of the command line to the devices and links they describe."""

from __future__ import annotations

from typing import Any

import typer

from ..base.numbers import Number
from ..engine.cluster import Cluster, Link
from ..engine.crossings import joined
from ..schedule.ir import Schedule
from .options import PipelineOptions


def cluster_of(options: PipelineOptions, schedule: Schedule) -> Cluster:
    """The devices and links asked for."""
    if options.gradient_bytes is not None and options.bandwidth is None:
        raise typer.BadParameter("--gradient-bytes take no time without --bandwidth: add it")
    n = schedule.n_devices
    slowdown: list[Number] = [1] * n
    for device, factor in (options.straggler or {}).items():
        if device >= n:
            raise ValueError(
                f"--straggler names device {device}, but there are {n}, counted from 0"
            )
        slowdown[device] = factor
    links: dict[str, Link] = {}
    if options.bandwidth is not None:
        links = {f"{a}->{b}": Link(0, options.bandwidth) for a, b in sorted(joined(schedule))}
    modes: dict[str, Any] = {
        name: value for name in ("transfers", "receives") if (value := getattr(options, name))
    }
    return Cluster(
        n,
        memory=(options.memory,) * n,
        slowdown=tuple(slowdown),
        neighbour_slowdown=options.neighbour_slowdown or 1,
        host_memory=options.host_memory,
        links=links,
        routes={(int(a), int(b)): (f"{a}->{b}",) for a, b in (name.split("->") for name in links)},
        **modes,
    )
