"""The command `pareto`: the best schedule for every memory limit."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from ...cli.page_file import PlotlyOption, write_page
from ...cli.read import read_numbers, read_positive
from ...cli.text_files import check_writable
from ...metrics.summary import plain_numbers
from ..cli.options import (
    ActivationBytes,
    AsJson,
    Backward,
    Chunks,
    ClockName,
    Devices,
    Forward,
    HostBandwidth,
    HostLatency,
    Levers,
    Microbatches,
    Moves,
    PlacementName,
    Profile,
    RecomputeKeeps,
    Seed,
    Send,
    StaticBytes,
    Text,
    TimeLimit,
    Weight,
    Without,
    Workers,
    option,
    read_asked,
    times_told,
)


def pareto_command(
    devices: Devices,
    microbatches: Microbatches,
    forward: Forward = None,
    backward: Backward = None,
    weight: Weight = None,
    send: Send = None,
    profile: Profile = None,
    activation_bytes: ActivationBytes = None,
    static_bytes: StaticBytes = None,
    limits: Annotated[
        Text, option("--limits", "Memory limits in shares, such as 2,2.5,3.", "LIST")
    ] = None,
    levers: Levers = None,
    recompute_keeps: RecomputeKeeps = None,
    host_bandwidth: HostBandwidth = None,
    host_latency: HostLatency = None,
    placement: PlacementName = "v",
    stages_per_device: Chunks = None,
    clock: ClockName = "makespan",
    time_limit: TimeLimit = None,
    moves: Moves = None,
    without: Without = None,
    seed: Seed = "0",
    workers: Workers = "2",
    html: Annotated[Text, option("--html", "Write the picture as a page.", "FILE")] = None,
    plotly: PlotlyOption = "embed",
    as_json: AsJson = False,
) -> None:
    """Bubble and interval against the memory limit, with the named schedules as marked points.

    python -m sim pareto -p 8 -m 32 --forward 10 --backward 12 --weight 8 --send 1 --html front.html
    """
    given = dict(locals())
    from .front import pareto

    asked = read_asked(given, default_time="60")
    chosen = None
    if limits is not None:
        chosen = list(read_numbers(limits, "--limits", read_positive))
    if html is not None:
        check_writable(html)
    frame = pareto(asked.devices, asked.microbatches, asked.costs, limits=chosen, **asked.options)
    if frame.attrs["interrupted"]:
        print("interrupted: these are the limits done so far", file=sys.stderr)
    if html:
        from ...cli.as_typed import as_typed
        from ...show.pages import facts_of
        from .page import pareto_page

        facts = facts_of(given | times_told(given), leave=["html", "as_json", "plotly"])
        sizes = asked.devices, asked.microbatches
        page = pareto_page(frame, sizes, clock=asked.clock, facts=facts, command=as_typed())
        write_page(html, page, plotly)
    rows = plain_numbers(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    if as_json:
        print(json.dumps(rows, allow_nan=False))
        return
    _show_rows(rows)


def _show_rows(rows: list[dict[str, Any]]) -> None:
    from ...show.table import print_table, table_of

    numbers = ("limit", "peak", "makespan", "bubble", "longest stage", "bubble", "above bound",
               "interval")  # fmt: skip
    more = (">recomputed", ">offloaded") if any(row.get("levers") for row in rows) else ()
    table = table_of(*(f">{name}" for name in numbers), "by", *more)
    for row in rows:
        table.add_row(
            "" if row["limit"] is None else f"{row['limit']:g}",
            f"{row['peak']:g}",
            f"{row['makespan']:g}",
            f"{row['bubble_makespan']:.2%}",
            f"{row['longest_stage']:g}",
            f"{row['bubble_longest_stage']:.2%}",
            "" if row["gap"] is None else f"{row['gap']:.2%}",
            "" if row["interval"] is None else f"{row['interval']:g}",
            row["method"],
            *(f"{row[name]:.0%}" for name in (head.removeprefix(">") for head in more)),
        )
    print_table(table)
