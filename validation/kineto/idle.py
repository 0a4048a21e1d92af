"""Where the time of each rank went, to the last microsecond."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import pandas as pd

from sim import Schedule

from .measured import Run, writers
from .ranges import Pass

HOST = "sends", "receives", "collectives", "gradient_sums"
IDLE = ("warm_up", "waiting_for_input", "waiting_for_link", *HOST, "between", "cool_down")


def idle_table(run: Run) -> pd.DataFrame:
    """Where the time of each device went, a row each, means over iterations, in seconds.

    `busy`, and what else adds up to the makespan: warm_up before the first pass, waiting_for_input
    until the writer of the input ended, waiting_for_link from then on, the host's sends, receives
    and collectives (of sharded weights), sums of gradients over replicas, what else lay between
    passes, and cool_down. What goes on after the last pass of all is in `sums_after`.
    """
    rows = [
        (device, *_account(run.schedule, passes, device))
        for passes in run.passes
        for device in range(run.schedule.n_devices)
    ]
    frame = pd.DataFrame(rows, columns=["device", "busy", *IDLE])
    return frame.groupby("device", as_index=False).mean()


def sums_after(run: Run) -> float:
    """Seconds for which sums of gradients over replicas go on after the last pass of all, on the
    device that is last; the mean over iterations."""
    found = [
        max(row[-1].end + row[-1].gradient_sums for row in passes)
        - max(row[-1].end for row in passes)
        for passes in run.passes
    ]
    return max(fmean(found), 0.0)


def _account(
    schedule: Schedule, passes: Sequence[Sequence[Pass]], device: int
) -> tuple[float, ...]:
    begin = min(each.start for row in passes for each in row)
    finish = max(each.end for row in passes for each in row)
    ends = {op: each.end for row in passes for each in row for op in each.step}
    row = passes[device]
    account = dict.fromkeys(IDLE, 0.0)
    tail = finish - row[-1].end
    account["gradient_sums"] = min(row[-1].gradient_sums, tail)
    account["warm_up"] = row[0].start - begin
    account["cool_down"] = tail - account["gradient_sums"]
    for one, after in pairwise(row):
        gap = max(after.start - one.end, 0.0)
        host = min(max(after.begin - one.end, 0.0), gap)
        whole = sum(getattr(one, name) for name in HOST)
        known = min(whole, host)
        scale = known / (whole or 1.0)
        for name in HOST:
            account[name] += getattr(one, name) * scale
        account["between"] += host - known
        wait = gap - host
        written = max((ends[op] for op in writers(schedule, after.step, device)), default=0.0)
        waiting = min(max(written - (after.start - wait), 0.0), wait)
        account["waiting_for_input"] += waiting
        account["waiting_for_link"] += wait - waiting
    busy = sum(each.end - each.start for each in row)
    return busy, *account.values()
