"""The command `search`: the best schedule for a memory limit, with a bound."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Annotated, Any, get_args

import typer

from ...cli.read import read_number, read_positive, read_word
from ...cli.schedule_file import schedule_in
from ...cli.text_files import check_writable, write_text
from ...metrics.summary import plain_numbers
from ...schedule.ir import Schedule
from ...schedule.json_form import to_json
from ..levers.host import with_host
from ..orders.sequence import MicrobatchOrder
from ..result import Steadiness
from .options import (
    ActivationBytes,
    AsJson,
    Backward,
    Chunks,
    ClockName,
    Devices,
    Forward,
    HostBandwidth,
    HostLatency,
    Jitter,
    Levers,
    Microbatches,
    MicrobatchOrderName,
    MicrobatchScale,
    Moves,
    PlacementName,
    Profile,
    Quantile,
    RecomputeKeeps,
    Seed,
    Send,
    Start,
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


def search_command(
    devices: Devices,
    microbatches: Microbatches,
    forward: Forward = None,
    backward: Backward = None,
    weight: Weight = None,
    send: Send = None,
    profile: Profile = None,
    microbatch_scale: MicrobatchScale = None,
    microbatch_order: MicrobatchOrderName = "free",
    activation_bytes: ActivationBytes = None,
    static_bytes: StaticBytes = None,
    memory_limit: Annotated[
        Text,
        option("--memory-limit", "Live activations a device may hold, in shares.", "SHARES"),
    ] = None,
    memory_bytes: Annotated[
        Text, option("--memory-bytes", "Bytes a device may hold, static ones too.", "BYTES")
    ] = None,
    levers: Levers = None,
    recompute_keeps: RecomputeKeeps = None,
    host_bandwidth: HostBandwidth = None,
    host_latency: HostLatency = None,
    placement: PlacementName = "v",
    stages_per_device: Chunks = None,
    clock: ClockName = "makespan",
    jitter: Jitter = None,
    quantile: Quantile = None,
    time_limit: TimeLimit = None,
    moves: Moves = None,
    start: Start = None,
    without: Without = None,
    seed: Seed = "0",
    workers: Workers = "2",
    output: Annotated[
        Text, option("--output", "Write the schedule as JSON, for simulate and export.", "FILE")
    ] = None,
    torch_csv: Annotated[
        Text, option("--torch-csv", "Write the schedule as torch compute_only CSV.", "FILE")
    ] = None,
    html: Annotated[Text, option("--html", "Write a page about what was found.", "FILE")] = None,
    as_json: AsJson = False,
) -> None:
    """The best schedule that fits into the memory, and how good any schedule could be.

    A memory limit is in shares: one share is all activations that a device keeps of one microbatch.

    python -m sim search -p 8 -m 32 --forward 10 --backward 12 --weight 8 --send 1 --memory-limit 5

    With --levers it also decides which activations to recompute or to offload, stage by stage.
    """
    given = dict(locals())
    from ..evaluation import evaluate
    from ..mean_work import bubble_beside, mean_work
    from ..portfolio import search

    asked = read_asked(given, default_time="30")
    sequence: Any = read_word(*get_args(MicrobatchOrder))(microbatch_order, "--microbatch-order")
    if sequence != "free" and microbatch_scale is None:
        raise typer.BadParameter("--microbatch-order needs --microbatch-scale: they are all alike")
    if quantile is not None and jitter is None:
        raise typer.BadParameter("--quantile needs --jitter: without it times do not vary")
    varying: dict[str, Any] = {
        "jitter": float(read_number(jitter or "0", "--jitter")),
        "quantile": float(read_number(quantile or "0.9", "--quantile")),
    }
    limit = None if memory_limit is None else read_positive(memory_limit, "--memory-limit")
    size = None if memory_bytes is None else read_positive(memory_bytes, "--memory-bytes")
    if start is not None and levers is not None:
        raise typer.BadParameter("--start is for a search without --levers: leave one of them out")
    earlier = None if start is None else schedule_in(start)
    for path in (output, torch_csv, html):
        if path:
            check_writable(path)
    found = search(
        asked.devices, asked.microbatches, asked.costs, memory_limit=limit, memory_bytes=size,
        microbatch_order=sequence, start=earlier, **varying, **asked.options,
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
    host = asked.options.get("host")
    costs = asked.costs if host is None else with_host(asked.costs, host, schedule.placement)
    work = mean_work(schedule, costs)
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
        "bubble_makespan": bubble_beside(work, found.makespan),
        "bubble_longest_stage": bubble_beside(work, found.longest_stage),
        "peak_activations": list(evaluate(schedule, costs).peak_activations),
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "method": found.method,
        "proven_optimal": found.proven_optimal,
        "interval": found.interval,
        "interval_bound": found.interval_bound,
        "seconds": found.seconds,
        "interrupted": found.interrupted,
    }
    if microbatch_scale is not None:
        answer["microbatch_order"] = list(found.sequence)
    if found.steadiness is not None:
        answer["steadiness"] = _steadiness(found.steadiness)
    if levers is not None:
        answer["levers"] = pulled_levers(schedule)
    if html:
        from ...cli.as_typed import as_typed
        from ...show.pages import facts_of
        from .page import search_page

        facts = facts_of(
            given | times_told(given), leave=["html", "as_json", "output", "torch_csv"]
        )
        write_text(html, search_page(found, costs, answer, facts=facts, command=as_typed()))
    if as_json:
        print(json.dumps(plain_numbers(answer), allow_nan=False))
        return
    _show(plain_numbers(answer))


def pulled_levers(schedule: Schedule) -> list[dict[str, int]]:
    """How many microbatches of each stage keep, recompute and offload their activations."""
    names = {"recompute": "R", "offload": "O"}
    found = []
    for stage, device in enumerate(schedule.placement):
        done = Counter(lever for where, lever in schedule.levers.items() if where[0] == stage)
        row = {name: done[letter] for name, letter in names.items()}  # type: ignore[index]
        keep = schedule.n_microbatches - sum(row.values())
        found.append({"stage": stage, "device": device, "keep": keep, **row})
    return found


def _levers_in_words(rows: list[dict[str, int]]) -> dict[str, str]:
    """A line per lever: how many microbatches of which stages."""
    found = {}
    for name in ("recompute", "offload"):
        some = [f"{row['stage']}: {row[name]}" for row in rows if row[name]]
        if some:
            found[f"{name} (stage: microbatches)"] = ", ".join(some)
    if rows and not found:
        found["levers"] = "none pulled"
    return found


def _in_turn(sequence: list[int]) -> str:
    shown = ", ".join(map(str, sequence[:12]))
    return f"in the order {shown}{', ...' if len(sequence) > 12 else ''}"


def _steadiness(found: Steadiness) -> dict[str, Any]:
    return {
        "jitter": found.wobble.jitter,
        "quantile": found.wobble.quantile,
        "draws": found.draws,
        "found": found.found._asdict(),
        "nominal_best": found.nominal_best._asdict(),
        "families": [family._asdict() for family in found.families],
    }


def _show(found: dict[str, Any]) -> None:
    from ...show.table import facts_table, print_table

    clock, unequal = found["clock"].replace("_", " "), "microbatch_order" in found
    bubbles = [f"bubble {found[name]:.2%}" for name in ("bubble_makespan", "bubble_longest_stage")]
    proof = "proven optimal" if found["proven_optimal"] else f"{found['gap']:.2%} above the bound"
    facts = {
        "makespan": f"{found['makespan']:g}   ({bubbles[0]})",
        "longest stage": f"{found['longest_stage']:g}   ({bubbles[1]})",
        "peak": f"{max(found['peak_activations']):g} shares",
        f"lower bound ({clock})": f"{found['lower_bound']:g}   ({proof})",
        "interval": f"{found['interval']:g} per microbatch   (bound {found['interval_bound']:g})",
        "found by": found["method"],
        **({"microbatches": _in_turn(found["microbatch_order"])} if unequal else {}),
        **_levers_in_words(found.get("levers", [])),
        "seconds": f"{found['seconds']:.1f}",
    }
    print_table(facts_table(found["schedule"], facts.items()))
    if "steadiness" in found:
        _show_steadiness(found["steadiness"], clock)


def _show_steadiness(known: dict[str, Any], clock: str) -> None:
    """What the found order and the families lose when times vary."""
    from rich.table import Table

    from ...show.table import print_table
    from .page import steadiness_cells

    heads, *rows = steadiness_cells(known)
    table = Table(title=f"{clock} when every pass varies by {known['jitter']:.1%}")
    for head in heads:
        table.add_column(head.text, justify="left" if head.text == "schedule" else "right")
    for row in rows:
        table.add_row(*(cell.text for cell in row))
    print_table(table)
