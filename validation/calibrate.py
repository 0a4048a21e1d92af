"""Measures what passes and transfers cost on this machine, as a `Profile` the simulator loads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from backend import Passes, measured_passes, run
from sim import Costs, Op, Schedule
from sim.base.progress import bar

from .profile import Profile
from .provenance import provenance
from .replay import fitted_line
from .workload import Workload


def calibrate(
    workload: Workload,
    *,
    n_devices: int,
    n_stages: int,
    n_slices: int = 1,
    steps: int = 7,
    warmup: int = 2,
    partitions: Sequence[Any] | None = None,
    command: str = "",
    progress: bool = False,
) -> Profile:
    """Pass times with busy neighbours, transfers, overhead: measured here and now.

    Every device measures all stages at the same time as the others, so that shared caches, memory
    bandwidth and issuing threads are in the figures as they will be in a run. The slow-down against
    one device alone is part of the profile. progress: a bar on stderr that moves between two
    measurements and never during one.
    """
    if n_devices < 1 or n_stages < 1:
        raise ValueError(f"cannot calibrate {n_stages} stages on {n_devices} devices")
    options: dict[str, Any] = {
        "n_stages": n_stages, "n_slices": n_slices, "steps": steps, "warmup": warmup
    }  # fmt: skip
    with bar("calibrating", 4, shown=progress, alone=True) as move:
        tell = move or _nothing
        tell(0, "passes of one device alone")
        (one,) = passes_together(workload, n_devices=1, partitions=partitions, **options)
        tell(1, "passes of all devices")
        many = passes_together(workload, n_devices=n_devices, partitions=partitions, **options)
        with _one_thread():
            tell(2, "transfers")
            pair = partitions if partitions and len(partitions) > 1 else None
            latency, bandwidth = measured_link(workload.device, partitions=pair)
            tell(3, "time between two passes")
            gap = overhead(workload, n_stages=n_stages)
    table = _merged([passes.table for passes in many])
    joined = Passes(table, many[0].boundary_bytes, many[0].static_bytes, many[0].group_scale)
    return Profile(
        with_overhead(joined.costs(), gap),
        latency,
        bandwidth,
        overhead=gap,
        neighbour_slowdown=_slowdown(one.table, table),
        spread={
            f"{row.kind}@{row.stage}.{row.slice}": float(row.spread / row.seconds)  # type: ignore[arg-type,operator]
            for row in table.itertuples()
        },
        workload=asdict(workload) | {"n_stages": n_stages, "n_slices": n_slices},
        provenance=provenance(workload.device, command=command),
    )


def passes_together(
    workload: Workload,
    *,
    n_devices: int,
    n_stages: int,
    n_slices: int = 1,
    steps: int = 7,
    warmup: int = 2,
    partitions: Sequence[Any] | None = None,
    grouped: bool = True,
) -> list[Passes]:
    """The passes of all stages on every device, measured by all devices at the same time."""
    options = {
        "n_stages": n_stages, "n_slices": n_slices, "steps": steps, "warmup": warmup,
        "grouped": grouped,
    }  # fmt: skip
    with _one_thread():
        return _at_once(workload, n_devices, partitions, options)


def placed(costs: Sequence[Costs], placement: Sequence[int]) -> Costs:
    """Costs in which every stage takes what it took on the device it is placed on.

    costs: what each device measured, shape `(n_devices,)`.
    """
    names = ("forward", "backward", "weight", "fused_backward")
    tables: dict[str, Any] = {
        name: tuple(getattr(costs[device], name)[s] for s, device in enumerate(placement))
        for name in names
        if getattr(costs[0], name)
    }
    return replace(costs[0], **tables)


def with_overhead(costs: Costs, gap: float) -> Costs:
    """`costs` with every pass longer by the time a device needs between two passes."""

    def longer(table: Any) -> Any:
        return tuple(tuple(float(time) + gap for time in row) for row in table)

    names = ("forward", "backward", "weight", "fused_backward")
    found = {name: longer(getattr(costs, name)) for name in names if getattr(costs, name)}
    return replace(costs, **found)


def measured_link(
    device: str = "cpu", *, repeats: int = 9, partitions: Sequence[Any] | None = None
) -> tuple[float, float]:
    """(latency, bandwidth) of a transfer between two pipeline devices, from copies of many sizes.

    What counts is the time from the end of the writing pass to the start of the reading one, on
    a device that has nothing else to do.
    """
    order = tuple((Op("F", stage, 0), Op("BW", stage, 0)) for stage in range(2))
    schedule = Schedule((0, 1), order, 1, name="ping")
    sizes, seconds = [], []
    for elements in (2**k for k in range(10, 23, 2)):
        stages: list[nn.Module] = [_Scale().to(device), _Scale().to(device)]
        batch = torch.ones(1, elements, device=device)
        found = run(
            schedule, stages, batch, targets=batch, loss_fn=lambda out, goal: out.mean(),
            steps=repeats, warmup=2, memory=0, device=device,
            partitions=None if partitions is None else partitions[:2],
        )  # fmt: skip
        waits = [_wait(trace.ops, trace.transfers) for trace in found.traces]
        sizes.append(float(batch.nbytes))
        seconds.append(float(np.median(waits)))
    return fitted_line(np.array(sizes), np.array(seconds))


def overhead(workload: Workload, *, n_stages: int, repeats: int = 5) -> float:
    """Seconds between two passes of a device that never waits: median over many passes."""
    order = [Op("F", stage, i) for i in range(2) for stage in range(n_stages)]
    order += [Op("BW", stage, i) for i in range(2) for stage in reversed(range(n_stages))]
    schedule = Schedule((0,) * n_stages, (tuple(order),), 2, name="alone")
    batch, targets = workload.batch(2, n_stages)
    found = run(
        schedule, workload.stages(n_stages), batch, targets=targets, device=workload.device,
        steps=repeats, warmup=1, memory=0,
    )  # fmt: skip
    gaps = [
        trace.ops["start"].to_numpy()[1:] - trace.ops["end"].to_numpy()[:-1]
        for trace in found.traces
    ]
    return float(np.median(np.concatenate(gaps)))


def _nothing(done: float, label: str) -> None:
    """Where nobody asked for a bar."""


class _Scale(nn.Module):
    """The smallest stage with a parameter: what it sends is as large as what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.factor
        return scaled


def _wait(ops: pd.DataFrame, transfers: pd.DataFrame) -> float:
    """From the end of the first stage's F to the start of the second's."""
    forward = ops[ops["kind"] == "F"].set_index("stage")
    return float(forward.loc[1, "start"]) - float(forward.loc[0, "end"])  # type: ignore[arg-type]


def _at_once(
    workload: Workload, n: int, partitions: Sequence[Any] | None, options: dict[str, Any]
) -> list[Passes]:
    """`measured_passes` on n devices at the same time."""
    found: list[Passes | BaseException] = [RuntimeError("did not run")] * n
    gate = threading.Barrier(n)

    def measure(device: int) -> None:
        try:
            stages = workload.stages(options["n_stages"])
            batch, targets = workload.batch(1, options["n_stages"])
            gate.wait()
            found[device] = measured_passes(
                stages, batch, targets=targets, n_slices=options["n_slices"],
                steps=options["steps"], warmup=options["warmup"], grouped=options["grouped"],
                device=workload.device,
                partitions=None if partitions is None else [partitions[device]],
            )  # fmt: skip
        except BaseException as error:
            found[device] = error

    threads = [threading.Thread(target=measure, args=(device,)) for device in range(n)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):  # so that Ctrl-C gets through
        time.sleep(0.05)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if isinstance(one, Passes)]


def _merged(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Medians over the devices, row by row; of means the mean."""
    key = ["stage", "slice", "kind"]
    grouped = pd.concat(tables).groupby(key, as_index=False)
    return grouped.median().assign(mean=grouped["mean"].mean()["mean"])


def _slowdown(alone: pd.DataFrame, together: pd.DataFrame) -> float:
    key = ["stage", "slice", "kind"]
    both = together.merge(alone, on=key, suffixes=("", "_alone"))
    return float((both["seconds"] / both["seconds_alone"]).median())


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread per worker, as in a run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
