"""The commands `search` and `pareto`: the best schedule for a memory limit, or for all of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ..cli_options import Question
from ..cli_read import read_count, read_natural, read_number, read_positive, read_word
from ..cli_setting import check_writable, costs_of, write_text
from ..costs import Costs
from ..exact import Number
from ..families.family import Clock
from ..ir import Schedule, to_json
from ..outcome import plain_numbers
from .problem import Placement, stages_on

MOST_PASSES = 2_000_000
"""A search over more would not end."""


def _option(flag: str, help: str, metavar: str, short: str = "") -> Any:
    flags = [short, flag] if short else [flag]
    return typer.Option(*flags, help=help, metavar=metavar, show_default=False)


Devices = Annotated[str, _option("--devices", "Devices the model is split over.", "P", "-p")]
Microbatches = Annotated[str, _option("--microbatches", "Microbatches in one batch.", "M", "-m")]
Text = str | None
Forward = Annotated[
    Text, _option("--forward", "Time of F on a device's whole share. [default: 1]", "TIME")
]
Backward = Annotated[Text, _option("--backward", "Time of B on the same. [default: 1]", "TIME")]
Weight = Annotated[Text, _option("--weight", "Time of W on the same. [default: 1]", "TIME")]
Send = Annotated[
    Text, _option("--send", "Latency of every transfer between devices. [default: 0]", "TIME")
]
Profile = Annotated[
    Text, _option("--profile", "Measured costs of every stage (JSON), instead of these.", "FILE")
]
ActivationBytes = Annotated[
    Text, _option("--activation-bytes", "What a device keeps of one microbatch after F.", "BYTES")
]
StaticBytes = Annotated[
    Text, _option("--static-bytes", "Parameters, gradients, optimizer of a device.", "BYTES")
]
PlacementName = Annotated[
    str,
    _option("--placement", "straight, v or loop (stage s on device s mod P). [default: v]", "NAME"),
]
Chunks = Annotated[
    Text, _option("--stages-per-device", "Stages on each device, for loop. [default: 2]", "V", "-v")
]
ClockName = Annotated[
    str, _option("--clock", "makespan or longest-stage. [default: makespan]", "CLOCK")
]
TimeLimit = Annotated[Text, _option("--time-limit", "Seconds to search at most.", "SECONDS")]
Seed = Annotated[str, _option("--seed", "Start of the random numbers. [default: 0]", "N")]
Workers = Annotated[str, _option("--workers", "Threads. [default: 2]", "N")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@dataclass(frozen=True)
class _Asked:
    """The options that both commands share, read."""

    devices: int
    microbatches: int
    costs: Costs
    placement: Placement
    clock: Clock
    time_limit: float
    seed: int
    workers: int

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `search` and `pareto`."""
        return {
            "placement": self.placement,
            "clock": self.clock,
            "time_limit": self.time_limit,
            "seed": self.seed,
            "workers": self.workers,
        }


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
        _option("--memory-limit", "Live activations a device may hold, in shares.", "SHARES"),
    ] = None,
    memory_bytes: Annotated[
        Text, _option("--memory-bytes", "Bytes a device may hold, static ones too.", "BYTES")
    ] = None,
    placement: PlacementName = "v",
    stages_per_device: Chunks = None,
    clock: ClockName = "makespan",
    time_limit: TimeLimit = None,
    seed: Seed = "0",
    workers: Workers = "2",
    output: Annotated[
        Text, _option("--output", "Write the schedule as JSON, for simulate and export.", "FILE")
    ] = None,
    torch_csv: Annotated[
        Text, _option("--torch-csv", "Write the schedule as torch compute_only CSV.", "FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The best schedule that fits into the memory, and how good any schedule could be.

    A memory limit is in shares: one share is all activations that a device keeps of one microbatch.

    python -m sim search -p 8 -m 32 --forward 10 --backward 12 --weight 8 --send 1 --memory-limit 5
    """
    from ..metrics import peak_activations
    from .portfolio import search

    asked = _asked(locals(), default_time=30.0)
    limit = None if memory_limit is None else read_positive(memory_limit, "--memory-limit")
    size = None if memory_bytes is None else read_positive(memory_bytes, "--memory-bytes")
    for path in (output, torch_csv):
        if path:
            check_writable(path)
    found = search(
        asked.devices, asked.microbatches, asked.costs, memory_limit=limit, memory_bytes=size,
        **asked.options,
    )  # fmt: skip
    schedule = found.schedule
    if output:
        write_text(output, to_json(schedule))
    if torch_csv:
        from ..torch_csv import write_torch_csv

        write_torch_csv(schedule, torch_csv)
        print(f"wrote {torch_csv}", file=sys.stderr)
    work = _mean_work(asked)
    answer = {
        "schedule": schedule.name,
        "devices": schedule.n_devices,
        "microbatches": schedule.n_microbatches,
        "stages": schedule.n_stages,
        "placement": asked.placement,
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
        Text, _option("--limits", "Memory limits in shares, such as 2,2.5,3.", "LIST")
    ] = None,
    placement: PlacementName = "v",
    stages_per_device: Chunks = None,
    clock: ClockName = "makespan",
    time_limit: TimeLimit = None,
    seed: Seed = "0",
    workers: Workers = "2",
    html: Annotated[Text, _option("--html", "Write the picture as a page.", "FILE")] = None,
    as_json: AsJson = False,
) -> None:
    """Bubble and interval against the memory limit, with the named schedules as marked points.

    python -m sim pareto -p 8 -m 32 --forward 10 --backward 12 --weight 8 --send 1 --html front.html
    """
    from .tradeoff import pareto, pareto_figure

    asked = _asked(locals(), default_time=60.0)
    chosen = None
    if limits is not None:
        chosen = [read_positive(entry, "--limits") for entry in limits.split(",")]
    if html:
        check_writable(html)
    frame = pareto(asked.devices, asked.microbatches, asked.costs, limits=chosen, **asked.options)
    if html:
        write_text(html, pareto_figure(frame, clock=asked.clock).to_html(include_plotlyjs=True))
    rows = plain_numbers(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    if as_json:
        print(json.dumps(rows, allow_nan=False))
        return
    _show_rows(rows)


def _asked(given: dict[str, Any], *, default_time: float) -> _Asked:
    p = read_count(given["devices"], "-p")
    m = read_count(given["microbatches"], "-m")
    placement: Placement = read_word("straight", "v", "loop")(given["placement"], "--placement")  # type: ignore[assignment]
    clock = read_word("makespan", "longest-stage")(given["clock"], "--clock")
    chunks = given["stages_per_device"]
    if chunks is not None and placement != "loop":
        raise typer.BadParameter(f"-v is {chunks!r}: only --placement loop takes it")
    v = 2 if chunks is None else read_count(chunks, "-v")
    if 3 * p * (v if placement == "loop" else 2) * m > MOST_PASSES:
        raise ValueError(
            f"{p} devices and {m} microbatches are more than {MOST_PASSES:,} passes: search with "
            "fewer microbatches, the steady state stays the same"
        )
    place = stages_on(p, placement, v)
    numbers: dict[str, Number] = {
        name: read_number(given[name], "--" + name.replace("_", "-"))
        for name in ("forward", "backward", "weight", "send", "activation_bytes", "static_bytes")
        if given[name] is not None
    }
    question = Question(profile=given["profile"], **numbers)  # type: ignore[arg-type]
    seconds = given["time_limit"]
    return _Asked(
        p,
        m,
        costs_of(question, Schedule(place, ((),) * p, m, name=f"{placement} placement")),
        placement,
        "longest_stage" if clock == "longest-stage" else "makespan",
        default_time if seconds is None else float(read_number(seconds, "--time-limit")),
        read_natural(given["seed"], "--seed"),
        read_count(given["workers"], "--workers"),
    )


def _mean_work(asked: _Asked) -> float:
    """Mean time a device is busy."""
    tables = (asked.costs.forward, asked.costs.backward, asked.costs.weight)
    total = sum(float(row[0]) for table in tables for row in table)
    return total * asked.microbatches / asked.devices


def _bubble(work: float, clock: Number) -> float:
    return 1 - work / float(clock) if clock else 0.0


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    from ..table import show

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
    show(table)


def _show_rows(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from ..table import show

    table = Table()
    heads = (
        "limit",
        "peak",
        "makespan",
        "bubble",
        "longest stage",
        "bubble",
        "gap",
        "interval",
        "by",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "by" else "right")
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
        )
    show(table)
