"""The command `searches`: our search against published ones, and what each of its methods earns."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.base.progress import bar
from sim.cli.command_line import UsageError
from sim.cli.text_files import check_writable

from .options import Json, in_time, print_rows, print_words

if TYPE_CHECKING:
    from ..published_searches import Budget, Instance, Reached


def searches_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="adaptive, tables, curve, straight; all by default."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Time limit of each search. [default: 60]")
    ] = None,
    moves: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Work of each search instead of seconds, in passes played (25 million for a "
            "second): the same on every machine.",
        ),
    ] = None,
    devices: Annotated[
        int | None, typer.Option("-p", "--devices", min=1, help="Only so many devices.")
    ] = None,
    microbatches: Annotated[
        int | None, typer.Option("-m", "--microbatches", min=1, help="Only so many microbatches.")
    ] = None,
    forward: Annotated[float | None, typer.Option(help="Only this time of F.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every n-th row of each source.")] = 1,
    first: Annotated[int, typer.Option(min=0, help="The first of them, from 0.")] = 0,
    total: Annotated[float, typer.Option(min=0, help="Stop after so many seconds.")] = 1e9,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Search without this method as well, and say what that loses. Several options: "
            "one at a time; several names with commas: together."
        ),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Search without each method.")] = False,
    seeds: Annotated[
        int, typer.Option(min=0, help="How many other random numbers tell what noise is.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Start of the random numbers.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    save: Annotated[
        str, typer.Option(help="Write what methods earn, with all runs, to this file.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Search the instances of published searches at their memory limits.

    adaptive is the block search of arXiv 2405.15362, curve and tables are those of arXiv
    2401.10241, straight holds optima of unit passes. A row: the published bubble, ours, and what
    none can be below. Methods are in `sim.search.settings.methods`.

    Example: python -m validation searches tables --every 4 --moves 50000000

    Example: python -m validation searches adaptive --every 20 --moves 50000000 --without ends
    """
    from ..published_searches import SOURCES, Budget, chosen

    if seconds is not None and moves is not None:
        raise UsageError("--moves and --seconds are two budgets: give one of them")
    if unknown := [name for name in sources or () if name not in SOURCES]:
        raise UsageError(f"unknown source {unknown[0]!r}: there are {', '.join(SOURCES)}")
    if save and not (each or without):
        raise UsageError("--save keeps what methods earn: say which, --without METHOD or --each")
    rows = chosen(
        sources or SOURCES, every=every, first=first, p=devices, m=microbatches, forward=forward
    )
    if not rows:
        raise ValueError("no instance is like that: ask with fewer of -p, -m, --forward, --first")
    if save:
        check_writable(save)
    budget = Budget(60.0 if seconds is None else seconds, moves, workers, seed)
    if not (each or without):
        _compare(rows, budget, total, as_json=as_json)
        return
    from .ablation import ablate, left_out

    ablate(
        rows, budget, left_out(without or (), each=each), seeds=seeds, total=total,
        chosen={"sources": list(sources or SOURCES), "every": every, "first": first},
        save=save, as_json=as_json,
    )  # fmt: skip


def _compare(rows: Sequence[Instance], budget: Budget, total: float, *, as_json: bool) -> None:
    """A row per instance, and a summary."""
    from ..published_searches import reached

    done: list[tuple[Instance, Reached]] = []
    try:
        with bar("searching", len(rows), shown=True) as tell:
            for instance in in_time(rows, total):
                done.append((instance, reached(instance, budget, progress=True)))
                if tell:
                    tell(len(done), f"{len(done)} of {len(rows)}")
    finally:  # Ctrl-C takes nothing away that was found
        if not as_json:
            print_rows(_cells(*one) for one in done)
    found = _summary(done)
    if as_json:
        print(json.dumps({"rows": [_row(*one) for one in done], **found}))
        return
    print_words(
        f"\nworse: {found['worse']} of {found['searched']}; "
        f"proven optimal: {found['proven_optimal']}"
        + ("" if found["mean_ratio"] is None else
           "; where F, B and W differ, our bubble is "
           f"{found['mean_ratio']:.3f} of the reference on average")
    )  # fmt: skip


def _cells(instance: Instance, found: Reached) -> dict[str, Any]:
    """A row for a reader: bubbles in percent."""
    known, ours, bound = (
        instance.bubble(value) for value in (instance.reference, found.value, found.bound)
    )
    return {
        "source": instance.source, "p": instance.p, "m": instance.m,
        "F B W send": " ".join(f"{time:g}" for time in instance.times), "limit": instance.limit,
        "published": f"{known:.2%}",
        "ours": f"{ours:.2%}" + (" worse" if instance.is_worse(found.value) else ""),
        "bound": f"{bound:.2%}", "seconds": found.seconds, "by": found.method,
    }  # fmt: skip


def _row(instance: Instance, found: Reached) -> dict[str, Any]:
    forward, backward, weight, send = instance.times
    return {
        "source": instance.source, "devices": instance.p, "microbatches": instance.m,
        "forward": forward, "backward": backward, "weight": weight, "send": send,
        "placement": instance.placement, "memory_limit": instance.limit, "clock": instance.clock,
        "reference": instance.reference, "value": found.value, "lower_bound": found.bound,
        "bubble_reference": instance.bubble(instance.reference),
        "bubble": instance.bubble(found.value), "bubble_bound": instance.bubble(found.bound),
        "worse": instance.is_worse(found.value), "proven_optimal": found.proven,
        "method": found.method, "seconds": found.seconds, "moves": found.moves,
    }  # fmt: skip


def _summary(done: Sequence[tuple[Instance, Reached]]) -> dict[str, Any]:
    """How many are worse and proven; mean ratio of the bubbles where F, B and W differ."""
    ratios = [
        instance.bubble(found.value) / known
        for instance, found in done
        if (known := instance.bubble(instance.reference)) > 0 and len(set(instance.times[:3])) > 1
    ]
    return {
        "searched": len(done),
        "worse": sum(instance.is_worse(found.value) for instance, found in done),
        "proven_optimal": sum(found.proven for _, found in done),
        "mean_ratio": statistics.fmean(ratios) if ratios else None,
    }
