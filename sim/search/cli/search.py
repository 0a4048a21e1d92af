"""The command `search`: the best schedule for a memory limit, with a bound."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from ...base.numbers import Number
from ...cli.read import read_positive
from ...cli.setting import check_writable, write_text
from ...metrics.summary import plain_numbers
from ...schedule.json_form import to_json
from .options import (
    ActivationBytes,
    AsJson,
    Asked,
    Backward,
    Chunks,
    ClockName,
    Devices,
    Forward,
    Microbatches,
    Moves,
    PlacementName,
    Profile,
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
)


def search_command(
    devices: Devices,
    microbatches: Microbatches,
    forward: Forward = None,
    backward: Backward = None,
    weight: Weight = None,
    send: Send = None,
    profile: Profile = None,
    activation_bytes: ActivationBytes = None,
    static_bytes: StaticBytes = None,
    memory_limit: Annotated[
        Text,
        option("--memory-limit", "Live activations a device may hold, in shares.", "SHARES"),
    ] = None,
    memory_bytes: Annotated[
        Text, option("--memory-bytes", "Bytes a device may hold, static ones too.", "BYTES")
    ] = None,
    placement: PlacementName = "v",
    stages_per_device: Chunks = None,
    clock: ClockName = "makespan",
    time_limit: TimeLimit = None,
    moves: Moves = None,
    without: Without = None,
    seed: Seed = "0",
    workers: Workers = "2",
    output: Annotated[
        Text, option("--output", "Write the schedule as JSON, for simulate and export.", "FILE")
    ] = None,
    torch_csv: Annotated[
        Text, option("--torch-csv", "Write the schedule as torch compute_only CSV.", "FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The best schedule that fits into the memory, and how good any schedule could be.

    A memory limit is in shares: one share is all activations that a device keeps of one microbatch.

    python -m sim search -p 8 -m 32 --forward 10 --backward 12 --weight 8 --send 1 --memory-limit 5
    """
    from ...metrics.metrics import peak_activations
    from ..portfolio import search

    asked = read_asked(locals(), default_time="30")
    limit = None if memory_limit is None else read_positive(memory_limit, "--memory-limit")
    size = None if memory_bytes is None else read_positive(memory_bytes, "--memory-bytes")
    for path in (output, torch_csv):
        if path:
            check_writable(path)
    found = search(
        asked.devices, asked.microbatches, asked.costs, memory_limit=limit, memory_bytes=size,
        **asked.options,
    )  # fmt: skip
    if found.interrupted:
        print("interrupted: this is the best so far", file=sys.stderr)
    schedule = found.schedule
    if output:
        write_text(output, to_json(schedule))
    if torch_csv:
        from ...schedule.torch_csv import write_torch_csv

        write_torch_csv(schedule, torch_csv)
        print(f"wrote {torch_csv}", file=sys.stderr)
    work = _mean_work(asked)
    answer = {
        "schedule": schedule.name,
        "devices": schedule.n_devices,
        "microbatches": schedule.n_microbatches,
        "stages": schedule.n_stages,
        "placement": asked.options["placement"],
        "clock": found.clock,
        "memory_limit": limit,
        "memory_bytes": size,
        "value": found.value,
        "makespan": found.makespan,
        "longest_stage": found.longest_stage,
        "bubble_makespan": _bubble(work, found.makespan),
        "bubble_longest_stage": _bubble(work, found.longest_stage),
        "peak_activations": list(peak_activations(schedule)),
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "method": found.method,
        "proven_optimal": found.proven_optimal,
        "interval": found.interval,
        "interval_bound": found.interval_bound,
        "seconds": found.seconds,
    }
    if as_json:
        print(json.dumps(plain_numbers(answer), allow_nan=False))
        return
    _show(plain_numbers(answer))


def _mean_work(asked: Asked) -> float:
    """Mean time a device is busy."""
    tables = (asked.costs.forward, asked.costs.backward, asked.costs.weight)
    total = sum(float(row[0]) for table in tables for row in table)
    return total * asked.microbatches / asked.devices


def _bubble(work: float, clock: Number) -> float:
    return 1 - work / float(clock) if clock else 0.0


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    from ...show.table import print_table

    table = Table(title=found["schedule"], show_header=False)
    clock = found["clock"].replace("_", " ")
    bubbles = [f"bubble {found[name]:.2%}" for name in ("bubble_makespan", "bubble_longest_stage")]
    proof = "proven optimal" if found["proven_optimal"] else f"{found['gap']:.2%} above the bound"
    for name, text in {
        "makespan": f"{found['makespan']:g}   ({bubbles[0]})",
        "longest stage": f"{found['longest_stage']:g}   ({bubbles[1]})",
        "peak": f"{max(found['peak_activations']):g} shares",
        f"lower bound ({clock})": f"{found['lower_bound']:g}   ({proof})",
        "interval": f"{found['interval']:g} per microbatch   (bound {found['interval_bound']:g})",
        "found by": found["method"],
        "seconds": f"{found['seconds']:.1f}",
    }.items():
        table.add_row(name, text)
    print_table(table)
