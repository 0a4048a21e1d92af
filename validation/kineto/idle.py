"""Where the time of each rank went, to the last microsecond."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from sim import Schedule

from .measured import Run, writers
from .ranges import Pass

IDLE = ("warm_up", "waiting_for_input", "waiting_for_link", "sends", "receives", "collectives",
        "between", "cool_down")  # fmt: skip


def idle_table(run: Run) -> pd.DataFrame:
    """Where the time of each device went, a row each, means over iterations, in seconds.

    `busy`, and what else adds up to the makespan: warm_up before the first pass, waiting_for_input
    until the writer of the input ended, waiting_for_link from then on, the host's sends, receives
    and collectives (of sharded weights), what else lay between passes, and cool_down.
    """
    rows = [
        (device, *_account(run.schedule, passes, device))
        for passes in run.passes
        for device in range(run.schedule.n_devices)
    ]
    frame = pd.DataFrame(rows, columns=["device", "busy", *IDLE])
    return frame.groupby("device", as_index=False).mean()


def _account(
    schedule: Schedule, passes: Sequence[Sequence[Pass]], device: int
) -> tuple[float, ...]:
    begin = min(each.start for row in passes for each in row)
    finish = max(each.end for row in passes for each in row)
    ends = {op: each.end for row in passes for each in row for op in each.step}
    row = passes[device]
    account = dict.fromkeys(IDLE, 0.0)
    account["warm_up"], account["cool_down"] = row[0].start - begin, finish - row[-1].end
    for one, after in pairwise(row):
        gap = max(after.start - one.end, 0.0)
        host = min(max(after.begin - one.end, 0.0), gap)
        known = min(one.sends + one.receives + one.collectives, host)
        scale = known / (one.sends + one.receives + one.collectives or 1.0)
        for name in ("sends", "receives", "collectives"):
            account[name] += getattr(one, name) * scale
        account["between"] += host - known
        wait = gap - host
        written = max((ends[op] for op in writers(schedule, after.step, device)), default=0.0)
        waiting = min(max(written - (after.start - wait), 0.0), wait)
        account["waiting_for_input"] += waiting
        account["waiting_for_link"] += wait - waiting
    busy = sum(each.end - each.start for each in row)
    return busy, *account.values()
