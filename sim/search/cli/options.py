"""What the commands `search` and `pareto` ask alike, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ...cli.costs import check_bytes, costs_of, keeping
from ...cli.options import PipelineOptions
from ...cli.read import read_count, read_natural, read_number, read_numbers, read_word
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..levers.host import Host
from ..placement import stages_on
from ..settings.methods import left_out

MOST_PASSES = 2_000_000
"""A search over more would not end."""


def option(flag: str, help: str, metavar: str, short: str = "") -> Any:
    flags = [short, flag] if short else [flag]
    return typer.Option(*flags, help=help, metavar=metavar, show_default=False)


Devices = Annotated[str, option("--devices", "Devices the model is split over.", "P", "-p")]
Microbatches = Annotated[str, option("--microbatches", "Microbatches in one batch.", "M", "-m")]
Text = str | None
Forward = Annotated[
    Text, option("--forward", "Time of F on a device's whole share. [default: 1]", "TIME")
]
Backward = Annotated[Text, option("--backward", "Time of B on the same. [default: 1]", "TIME")]
Weight = Annotated[Text, option("--weight", "Time of W on the same. [default: 1]", "TIME")]
Send = Annotated[
    Text, option("--send", "Latency of every transfer between devices. [default: 0]", "TIME")
]
Profile = Annotated[
    Text, option("--profile", "Measured costs of every stage (JSON), instead of these.", "FILE")
]
ActivationBytes = Annotated[
    Text, option("--activation-bytes", "What a device keeps of one microbatch after F.", "BYTES")
]
StaticBytes = Annotated[
    Text, option("--static-bytes", "Parameters, gradients, optimizer of a device.", "BYTES")
]
PlacementName = Annotated[
    str,
    option("--placement", "straight, v or loop (stage s on device s mod P). [default: v]", "NAME"),
]
Chunks = Annotated[
    Text, option("--stages-per-device", "Stages on each device, for loop. [default: 2]", "V", "-v")
]
ClockName = Annotated[
    str, option("--clock", "makespan or longest-stage. [default: makespan]", "CLOCK")
]
TimeLimit = Annotated[
    Text,
    option("--time-limit", "Seconds to search at most. [default: 30, of a front 60]", "SECONDS"),
]
Moves = Annotated[
    Text,
    option(
        "--moves",
        "Work to do instead of seconds, so that every machine finds the same: about so many passes "
        "are played, 25 million for a second.",
        "N",
    ),
]
Start = Annotated[
    Text,
    option(
        "--start",
        "An earlier result on the same placement, JSON or torch CSV, to go on from.",
        "FILE",
    ),
]
Without = Annotated[Text, option("--without", "Methods not to use, such as ends,tips.", "LIST")]
Levers = Annotated[
    Text,
    option("--levers", "What may be done to save memory: recompute, offload or both.", "LIST"),
]
RecomputeKeeps = Annotated[
    Text,
    option("--recompute-keeps", "The share of an activation that F keeps where R runs.", "SHARE"),
]
HostBandwidth = Annotated[
    Text,
    option(
        "--host-bandwidth",
        "Speed of copies to the host, and as fast back: bytes per unit of time, or shares where "
        "there are no --activation-bytes.",
        "BYTES",
    ),
]
HostLatency = Annotated[
    Text, option("--host-latency", "What every such copy takes on top. [default: 0]", "TIME")
]
Seed = Annotated[str, option("--seed", "Start of the random numbers. [default: 0]", "N")]
MicrobatchScale = Annotated[
    Text,
    option(
        "--microbatch-scale",
        "How much larger each microbatch is, e.g. 1,2,0.5: a factor on the times and bytes of its "
        "passes. [default: all alike]",
        "FACTORS",
    ),
]
MicrobatchOrderName = Annotated[
    str,
    option(
        "--microbatch-order",
        "In which sequence microbatches of unequal size run: free (searched), given, or "
        "longest-first. [default: free]",
        "WORD",
    ),
]
Jitter = Annotated[
    Text,
    option(
        "--jitter",
        "Look for the order that stays fast when times vary: standard deviation of the logarithm "
        "of a random factor on every pass, e.g. 0.1.",
        "SIGMA",
    ),
]
Quantile = Annotated[
    Text,
    option("--quantile", "Of the clock under --jitter, what is to be small. [default: 0.9]", "Q"),
]
Workers = Annotated[str, option("--workers", "Threads. [default: 2]", "N")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@dataclass(frozen=True)
class Asked:
    """What both commands ask, read; options: keyword arguments of `search` and `pareto`."""

    devices: int
    microbatches: int
    costs: Costs
    clock: Clock
    options: dict[str, Any]


def read_asked(given: dict[str, Any], *, default_time: str) -> Asked:
    """The options in `given`, by the names of the command's parameters; ValueError or
    typer.BadParameter for what makes no sense."""
    p = read_count(given["devices"], "-p")
    m = read_count(given["microbatches"], "-m")
    placement: Any = read_word("straight", "v", "loop")(given["placement"], "--placement")
    clock: Any = read_word("makespan", "longest-stage")(given["clock"], "--clock")
    clock = clock.replace("-", "_")
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
    numbers: dict[str, Any] = {
        name: read_number(given[name], "--" + name.replace("_", "-"))
        for name in ("forward", "backward", "weight", "send", "activation_bytes", "static_bytes")
        if given[name] is not None
    }
    scale = given.get("microbatch_scale")
    numbers["microbatch_scale"] = scale and read_numbers(scale, "--microbatch-scale")
    options = PipelineOptions(profile=given["profile"], **numbers)
    seconds, moves, without = given["time_limit"], given["moves"], given["without"]
    if seconds is not None and moves is not None:
        raise typer.BadParameter("--moves and --time-limit are two budgets: give one of them")
    costs = costs_of(options, Schedule(place, ((),) * p, m, name=f"{placement} placement"))
    check_bytes(given, costs)
    check_bytes(given, costs, {"host_bandwidth": ("that cross it", ("activation_bytes",))})
    costs, levers = _read_levers(given, costs)
    chosen = {
        **levers,
        "placement": placement,
        "clock": clock,
        "time_limit": float(read_number(seconds or default_time, "--time-limit")),
        "moves": None if moves is None else read_natural(moves, "--moves"),
        "without": () if without is None else _read_methods(without),
        "seed": read_natural(given["seed"], "--seed"),
        "workers": read_count(given["workers"], "--workers"),
    }
    return Asked(p, m, costs, clock, chosen)


def _read_levers(given: dict[str, Any], costs: Costs) -> tuple[Costs, dict[str, Any]]:
    """The costs with what R keeps, and the arguments `levers` and `host` of a search."""
    text = given["levers"]
    for name in ("recompute_keeps", "host_bandwidth", "host_latency"):
        if given[name] is not None and text is None:
            flag = "--" + name.replace("_", "-")
            raise typer.BadParameter(f"{flag} needs --levers, such as --levers recompute,offload")
    if text is None:
        return costs, {}
    names = [name.strip() for name in text.split(",")]
    if unknown := next((name for name in names if name not in ("recompute", "offload")), None):
        raise typer.BadParameter(
            f"--levers is {text!r}: {unknown!r} is none, use recompute, offload or both"
        )
    keeps, rate, latency = (
        given[name] for name in ("recompute_keeps", "host_bandwidth", "host_latency")
    )
    if keeps is not None:
        costs = keeping(costs, read_number(keeps, "--recompute-keeps"))
    if "offload" in names and rate is None and costs.offload is None:
        raise typer.BadParameter("--levers offload needs --host-bandwidth, how fast copies are")
    if rate is None:
        if latency is not None:
            raise typer.BadParameter("--host-latency needs --host-bandwidth, how fast copies are")
        return costs, {"levers": names}
    host = Host(
        read_number(rate, "--host-bandwidth"),
        0 if latency is None else read_number(latency, "--host-latency"),
    )
    return costs, {"levers": names, "host": host}


def _read_methods(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    try:
        left_out(names)
    except ValueError as error:
        raise typer.BadParameter(f"--without is {text!r}: {error}") from None
    return names


def times_told(given: Mapping[str, Any]) -> dict[str, str]:
    """The times of passes that a page tells, those that nobody gave too; {} where a file has them.

    >>> times_told({"forward": "10", "backward": None, "weight": None, "send": None})
    {'forward': '10', 'backward': '1', 'weight': '1', 'send': '0'}
    """
    if given.get("profile"):
        return {}
    usual = {"forward": "1", "backward": "1", "weight": "1", "send": "0"}
    return {name: given[name] or time for name, time in usual.items()}
