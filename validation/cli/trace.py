"""The command `trace`: what profiled ranks did, and what the simulator makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.base.progress import bar

from .options import Json, known_families, print_rows, print_words

if TYPE_CHECKING:
    from sim import Schedule

    from ..kineto import Prediction, Run
    from ..kineto.files import RankFile


def trace_command(
    paths: Annotated[list[str], typer.Argument(help="Trace files, one per rank, or a folder.")],
    schedule: Annotated[
        str, typer.Option(help="Family or file that was meant to run: is it what ran?")
    ] = "",
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", help="F=NAME, B=NAME, W=NAME or BW=NAME: NVTX ranges of an export."
        ),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option("--what-if", help="Family or file to try on these passes; may repeat."),
    ] = None,
    microbatches: Annotated[
        int | None,
        typer.Option(
            "-m", "--microbatches", min=1, help="Microbatches to try; of an export: of the run."
        ),
    ] = None,
    latency: Annotated[
        float | None, typer.Option(min=0, help="Seconds of a transfer to try.")
    ] = None,
    html: Annotated[str, typer.Option(help="Write a page with both time lines here.")] = "",
    as_json: Json = False,
) -> None:
    """Read torch profiler traces of a pipeline: order, bubbles, pass times, and what if.

    An Nsight Systems export (.sqlite) with NVTX ranges around passes, as of Megatron-LM, is read
    with --schedule and -m: its i-th forward of a rank is the i-th of that order.

    One file per rank (.json or .json.gz) of steps of torch's pipeline runtime. A pass is what its
    range did after the wait for its input. The simulator plays the order again with the mean times
    of the passes, each with the host's time until the next, slowed down by neighbours as fitted,
    and with their spread; `makespan_error` is simulated over measured minus one.

    Example: python -m validation trace traces/ --schedule v-half --what-if zb-v
    """
    from ..kineto import measured_run, predicted, trace_files
    from ..kineto import what_if as others
    from ..kineto.nsight import is_export

    export = any(map(is_export, paths))
    files = _exported(paths, schedule, microbatches, ranges) if export else trace_files(paths)
    run = measured_run(files)
    asked = [_schedule(name, run, microbatches) for name in what_if or ()]
    with bar("predicting", 2, shown=True) as move:
        base = predicted(run, progress=True)
        if move:
            move(1, "what if")
        tried = others(
            run, base, schedules=asked, n_microbatches=microbatches, latency=latency, progress=True
        )
    found = _found(run, base, schedule) | {
        "what_if": [
            {"schedule": name, "makespan": time, "change": time / base.makespan - 1}
            for name, time in sorted(tried.items(), key=lambda item: item[1])
        ],
        "what_if_microbatches": microbatches or run.schedule.n_microbatches,
    }
    if html:
        _write_page(html, run, base)
    if as_json:
        print(json.dumps(found, allow_nan=False))
    else:
        _show(found, run)


def _exported(
    paths: list[str], name: str, microbatches: int | None, ranges: list[str] | None
) -> list[RankFile]:
    """The ranks in Nsight exports, which ran the schedule of that name."""
    from sim import FAMILIES
    from sim.cli.command_line import UsageError
    from sim.cli.schedule_file import schedule_in

    from ..kineto.nsight import RANGES, processes, rank_files

    if not name:
        raise UsageError(
            "an Nsight export does not say which pass a range is: give --schedule FAMILY and -m, "
            "or a schedule file"
        )
    names = {**RANGES}
    for one in ranges or ():
        kind, sign, text = one.partition("=")
        if kind not in RANGES or not sign or not text:
            raise UsageError(f"--range is {one!r}: it must be F=NAME, B=NAME, W=NAME or BW=NAME")
        names[kind] = (text,)
    found = processes(paths, names)
    if name not in FAMILIES and (name.endswith((".csv", ".json")) or "/" in name):
        return rank_files(found, schedule_in(name))
    known_families([name])
    if microbatches is None:
        raise UsageError("an Nsight export does not say how many microbatches there were: give -m")
    return rank_files(found, FAMILIES[name](len(found), microbatches))


def _found(run: Run, base: Prediction, meant: str) -> dict[str, Any]:
    from statistics import fmean

    from sim import bubble, costs_to_json, longest_stage, makespan, peak_activations

    from ..kineto.idle import idle_table, sums_after
    from ..kineto.prediction import pass_table

    traces = run.traces
    return {
        "schedule": run.schedule.name,
        "meant": meant or None,
        "as_meant": _difference(run, meant) == "" if meant else None,
        "difference": _difference(run, meant) if meant else "",
        "devices": run.schedule.n_devices,
        "microbatches": run.schedule.n_microbatches,
        "stages": run.schedule.n_stages,
        "replicas": run.replicas,
        "iterations": len(traces),
        "iterations_skipped": run.skipped,
        "makespan": base.measured,
        "makespans": [float(makespan(trace)) for trace in traces],
        "longest_stage": fmean(float(longest_stage(trace)) for trace in traces),
        "bubble_makespan": fmean(bubble(trace, "makespan") for trace in traces),
        "bubble_longest_stage": fmean(bubble(trace, "longest_stage") for trace in traces),
        "peak_activations": [float(peak) for peak in peak_activations(run.schedule)],
        "clock_doubt": run.doubt,
        "gradient_sums_after": sums_after(run),
        "idle": idle_table(run).to_dict("records"),
        "passes": pass_table(run).to_dict("records"),
        "simulated_makespan": base.makespan,
        "makespan_error": base.error,
        "neighbour_slowdown": base.slowdown,
        "spread": base.spread,
        "latency": base.latency,
        "costs": json.loads(costs_to_json(base.costs)),
    }


def _schedule(name: str, run: Run, microbatches: int | None) -> Schedule:
    """A family on as many devices, or the schedule in a file."""
    from sim import FAMILIES
    from sim.cli.schedule_file import schedule_in

    if name not in FAMILIES and (name.endswith((".csv", ".json")) or "/" in name):
        return schedule_in(name)
    known_families([name])
    p, v = run.schedule.n_devices, run.schedule.n_stages // run.schedule.n_devices
    m = microbatches or run.schedule.n_microbatches
    made = FAMILIES[name](p, m)
    if made.n_stages != run.schedule.n_stages:
        try:
            return FAMILIES[name](p, m, v=v)
        except (TypeError, ValueError):  # a family without that option
            return made
    return made


def _difference(run: Run, meant: str) -> str:
    """The first pass in which the run differs from the schedule that was meant; "" if none."""
    other = _schedule(meant, run, None)
    if other.placement != run.schedule.placement:
        return f"stages lie on ranks {list(run.schedule.placement)}, not {list(other.placement)}"
    for rank, (ran, want) in enumerate(zip(run.schedule.orders, other.orders, strict=True)):
        for number, (one, two) in enumerate(zip(ran, want, strict=False)):
            if one != two:
                return f"pass {number} of rank {rank} was {one}, not {two}"
        if len(ran) != len(want):
            return f"rank {rank} ran {len(ran)} passes, not {len(want)}"
    return ""


def _show(found: dict[str, Any], run: Run) -> None:
    ms = 1e3
    print_words(
        f"{found['schedule']}: {found['devices']} ranks, {found['stages']} stages, "
        f"{found['microbatches']} microbatches, {found['iterations']} iterations"
        + (f" ({found['iterations_skipped']} cut off)" if found["iterations_skipped"] else "")
        + (f"; the first of {found['replicas']} replicas" if found["replicas"] > 1 else "")
    )
    if found["meant"]:
        print_words(
            f"as {found['meant']} says"
            if found["as_meant"]
            else f"not as {found['meant']} says: {found['difference']}"
        )
    idle = sum(row[name] for row in found["idle"] for name in row if name not in ("device", "busy"))
    sums = sum(row["gradient_sums"] for row in found["idle"]) / (idle or 1.0)
    if found["clock_doubt"]:
        print(f"clocks of hosts agree to {found['clock_doubt'] * ms:.3g} ms")
    print_words(
        f"makespan {found['makespan'] * ms:.4g} ms, bubble {found['bubble_makespan']:.1%}"
        + (f", {sums:.1%} of it sums of gradients over replicas" if sums else "")
        + "; "
        f"longest stage {found['longest_stage'] * ms:.4g} ms, "
        f"bubble {found['bubble_longest_stage']:.1%}"
    )
    print("\nwhere the time of each rank went, ms per iteration")
    rare = ("collectives", "gradient_sums")  # of data parallelism
    never = [name for name in rare if not any(row[name] for row in found["idle"])]
    print_rows(
        [
            {k: v for k, v in _scaled(row, ms, leave=("device",)).items() if k not in never}
            for row in found["idle"]
        ]
    )
    if found["gradient_sums_after"]:
        after = found["gradient_sums_after"] * ms
        print_words(f"sums of gradients over replicas go on for {after:.3g} ms after that")
    print("\npasses, ms")
    print_rows([_scaled(row, ms, leave=("stage", "count")) for row in found["passes"]])
    print_words(
        f"\nsimulated from these: {found['simulated_makespan'] * ms:.4g} ms, "
        f"{found['makespan_error']:+.1%} of what was measured (neighbours slow a pass down "
        f"{found['neighbour_slowdown']:.3g} times, spread {found['spread']:.0%}, "
        f"transfers {found['latency'] * ms:.3g} ms)"
    )
    print(f"\nwhat if, m = {found['what_if_microbatches']}, ms")
    print_rows(
        [
            {"schedule": row["schedule"], "makespan": row["makespan"] * ms,
             "change": f"{row['change']:+.1%}"}
            for row in found["what_if"]
        ]
    )  # fmt: skip


def _scaled(row: dict[str, Any], by: float, *, leave: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: value * by if isinstance(value, float) and name not in leave else value
        for name, value in row.items()
    }


def _write_page(path: str, run: Run, base: Prediction) -> None:
    from dataclasses import replace

    from sim.base.files import write_text_atomically
    from sim.cli.as_typed import as_typed
    from sim.metrics.summary import summary
    from sim.show.report import page

    rows = [
        (summary(trace) | {"schedule": name}, trace)
        for name, trace in (
            *((f"measured {n}", trace) for n, trace in enumerate(run.traces)),
            ("simulated", replace(base.trace)),
        )
    ]
    title = f"{run.schedule.name} as profiled, and simulated from its own passes"
    write_text_atomically(path, page(rows, title=title, unit="s", command=as_typed()))
