"""A plan as a page: the ranking, memory against speed, and any row in detail by a click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base.text import plural
from ..show.pages import TableCell, figure_data, page_text
from ..show.plan_pictures import bytes_by_kind, seconds_by_part, speed_against_memory
from ..show.templates import rendered
from ..show.timeline import SCRIPTS, packed, zipped
from .explanation import WORDS, Explained, assumptions, precisions_of, zero_bubble_or_not
from .memory_table import GIB, KINDS
from .plan_text import COLUMNS, USUAL, left_out, written
from .problem import Problem
from .rows import configuration_of, told_as
from .timeline import timeline

if TYPE_CHECKING:
    import pandas as pd

PART_NAMES = {
    "work": "work", "recompute": "computed again", "tensor": "collectives in layers",
    "context": "parts of the sequence", "experts": "tokens to experts",
    "vocabulary": "sums over the pipeline",
    "sharding": "ZeRO in passes", "split_backward": "split backward", "sends": "sends",
    "imbalance": "stage imbalance", "fill_drain": "fill and drain", "data": "data parallelism",
    "optimizer": "optimizer",
}  # fmt: skip
MOST_PASSES = 4000
"""Passes in one time line, about: a page has a time line for every row that it shows."""


def plan_page(
    problem: Problem, table: pd.DataFrame, details: Mapping[int, Explained], *, row: int,
    command: str = "",
) -> str:  # fmt: skip
    """The page of a plan. details: the rows it shows, by rank; row: the one it opens with."""
    done = table[table["status"] == "simulated"]
    shown = done[done["rank"].isin(details)]
    ranks = [int(rank) for rank in shown["rank"]]
    heads = [name for name in COLUMNS if name not in USUAL or (shown[name] != USUAL[name]).any()]
    return page_text(
        "page/plan.html",
        scripts=[*SCRIPTS, "page/choice.js", "page/plan.js"],
        data={
            "first": ranks.index(row),
            "choices": [
                _row(problem, each, details[int(each["rank"])]) for _, each in shown.iterrows()
            ],
            "speed": figure_data(_speed(done, ranks)),
        },
        title=f"{problem.model.name} on {problem.machine.name}: a plan",
        facts=assumptions(problem, configuration_of(done.iloc[0]), precisions_of(table)),
        note=zero_bubble_or_not(table),
        command=command,
        heads=[COLUMNS[name] for name in heads],
        rows=[
            [_cell(name, _told(name, each), each["mfu"]) for name in heads]
            for _, each in shown.iterrows()
        ],
        left_out=left_out(table),
        words=WORDS,
    )


def _told(name: str, row: Any) -> Any:
    return told_as(row["schedule"], row["pipeline"]) if name == "schedule" else row[name]


def _cell(name: str, value: Any, mfu: float) -> TableCell:
    if isinstance(value, str):
        return TableCell(value)
    return TableCell(
        written(name, value), float(value), 100 * float(mfu) if name == "mfu" else None
    )


def _row(problem: Problem, row: Any, found: Explained) -> dict[str, Any]:
    """What the page needs to show one row."""
    c = configuration_of(row)
    whole = c.n_microbatches
    least = c.pipeline if c.virtual > 1 else 1
    played = min(whole, max(least, 2 * c.pipeline, MOST_PASSES // (3 * c.n_stages)))
    trace = timeline(problem, c, microbatches=played)
    parts = seconds_by_part({PART_NAMES[k]: v for k, v in found.seconds.named.items()})
    kinds = bytes_by_kind(
        {kind: [getattr(each, kind) / GIB for each in found.devices] for kind in KINDS},
        free=problem.capacity / GIB,
    )
    name = f"Row {row['rank']}: {row['schedule'] if c.pipeline > 1 else 'no pipeline'}"
    facts = [
        ("an iteration", f"{row['seconds']:.4g} s", f"bubble {row['bubble']:.1%}"),
        ("speed", f"{row['samples_per_second']:.4g}", "sequences per second"),
        ("MFU", f"{row['mfu']:.1%}", "of the printed peak"),
        ("memory", f"{row['memory_gib']:.1f} GiB", f"{problem.capacity / GIB:.1f} are free"),
    ]
    return {
        "name": name,
        "hash": f"#row-{row['rank']}",
        "html": {
            "head": rendered(
                "page/plan_head.html", name=name, key=f"{row['key']}; layers {row['layout']}",
                advice=found.advice[0].upper() + found.advice[1:] + ".", facts=facts,
            ),
            "cut": ""
            if played == whole
            else f"Shown are {plural(played, 'microbatch')} of {whole}.",
            "devices": _memory("device", found.devices, (*KINDS, "reserve", "headroom")),
            "stages": _memory("stage", found.stages, KINDS),
        },
        "packed": zipped(
            {
                "line": packed(trace, unit="s"),
                "figures": [
                    ("parts", _below(parts), f"Seconds by part of {name}"),
                    ("bytes", _below(kinds), f"Memory by kind of {name}"),
                ],
            }
        ),
    }  # fmt: skip


def _below(figure: Any) -> dict[str, Any]:
    """A figure that begins where the time line above it does."""
    found = figure_data(figure)
    found["layout"]["margin"]["l"] = 72
    found["layout"]["yaxis"]["automargin"] = False
    return found


def _memory(what: str, rows: Sequence[Any], kinds: Sequence[str]) -> str:
    """A table in GiB, of devices or of stages."""
    of_devices = what == "device"
    heads = ["device", "stages"] if of_devices else ["stage", "device"]
    found = [[*heads, *(f"{kind} (GiB)" for kind in kinds)]]
    for row in rows:
        second = ", ".join(map(str, row.stages)) if of_devices else str(row.device)
        first = row.device if of_devices else row.stage
        found.append([str(first), second, *(f"{getattr(row, kind) / GIB:.2f}" for kind in kinds)])
    return rendered("page/plan_memory.html", label=f"Memory by {what}", lines=found)


def _speed(done: pd.DataFrame, ranks: Sequence[int]) -> Any:
    points: dict[str, list[tuple[float, float, int, str, bool]]] = {}
    for _, row in done.iterrows():
        name, rank = told_as(row["schedule"], row["pipeline"]), int(row["rank"])
        spot = float(row["memory_gib"]), float(row["samples_per_second"])
        points.setdefault(name, []).append((*spot, rank, str(row["key"]), rank in ranks))
    return speed_against_memory(points)
