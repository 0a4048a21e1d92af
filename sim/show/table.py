"""Tables for the terminal: one schedule in detail, many side by side, and the list of families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..base.text import number_text, plural
from .style import byte_unit, with_unit

Summary = Mapping[str, Any]
"""What `sim.metrics.summary.summary` gives of one play, or `schedule` and `error`."""


def print_table(table: RenderableType) -> None:
    """Print on stdout; as wide as the terminal, or as the table where there is no terminal."""
    # No markup: a schedule's name may hold [brackets].
    Console(highlight=False, markup=False, emoji=False, width=_columns()).print(table)


def facts_table(title: str, facts: Iterable[Sequence[str]]) -> RenderableType:
    """A bold line, and under it a name and what there is to say of it, a row each."""
    rows = Table.grid(padding=(0, 2))
    for cells in facts:
        rows.add_row(*cells)
    return Group(Text(title, style="bold"), rows)


def schedule_table(found: Summary, *, unit: str = "", costs: str = "") -> RenderableType:
    """One schedule: both clocks, both bubbles, the bound, and a row per device; costs: what was
    assumed of them, in words."""
    title = (
        f"{found['schedule']}: {plural(found['devices'], 'device')}, "
        f"{plural(found['stages'], 'stage')}, {plural(found['microbatches'], 'microbatch')}"
    )
    facts = [("costs", "", costs)] if costs else []
    for clock in ("makespan", "longest_stage"):
        bubble = f"bubble {found[f'bubble_{clock}']:.2%}"
        facts.append((clock.replace("_", " "), _timed(found[clock], unit), bubble))
    if found["gap"] is not None:
        facts.append(
            (
                "lower bound",
                _timed(found["lower_bound"], unit),
                f"no order with these passes and this memory is faster on the {_clock(found)}; "
                f"this one is {found['gap']:.2%} above it",
            )
        )
    times = found.get("iteration_times")
    if times:
        facts.append(("iterations", "", ", ".join(map(number_text, times))))
    if waits := found.get("exposed_all_to_all"):
        most = _timed(max(waits), unit)
        facts.append(("all-to-all", most, "of a device's busy time are all-to-alls nothing hides"))
    return Group(facts_table(title, facts), _devices(found, unit))


def comparison_table(rows: Sequence[Summary], *, unit: str = "", costs: str = "") -> RenderableType:
    """Many schedules, the fastest on the chosen clock first; and why others failed. costs: what was
    assumed of them, in words."""
    good = [row for row in rows if "error" not in row]
    clock = good[0]["clock"] if good else "makespan"
    largest = max((held for row in good for held in row["peak_bytes"]), default=0)
    bytes_name, scale = byte_unit(largest)
    table = table_of("schedule", ">" + with_unit("makespan", unit), ">bubble",
                   ">" + with_unit("longest stage", unit), ">bubble",
                   ">peak activations", *([f">peak {bytes_name}"] if largest else []),
                   ">above bound")  # fmt: skip
    for row in sorted(good, key=lambda row: (row[clock], max(row["peak_activations"]))):
        cells = [
            row["schedule"],
            number_text(row["makespan"]),
            f"{row['bubble_makespan']:.2%}",
            number_text(row["longest_stage"]),
            f"{row['bubble_longest_stage']:.2%}",
            number_text(max(row["peak_activations"])),
            *([_short(max(row["peak_bytes"]) / scale)] if largest else []),
            "-" if row["gap"] is None else f"{row['gap']:.2%}",
        ]
        table.add_row(*cells)
    note = Text(
        (f"costs: {costs}.\n" if costs else "")
        + "bubble: idle share of the clock before it. Activations in shares: what one microbatch "
        f"keeps on a whole device.\nabove bound: on the {clock.replace('_', ' ')}, over what no "
        "order of the same passes with no more memory can beat.",
        style="dim",
    )
    failed = table_of("cannot be played", "because")
    for row in rows:
        if "error" in row:
            failed.add_row(row["schedule"], row["error"])
    parts: list[RenderableType] = [table, note] if good else []
    return Group(*parts, *([failed] if failed.row_count else []))


def families_table(rows: Iterable[Summary]) -> RenderableType:
    """The families: a row each; where a row would be too narrow, a paragraph each."""
    if _columns() < 150:
        return Group(*(_paragraph(row) for row in rows))
    table = table_of(
        "family", "placement", "passes", "bubble", "peak", "exact when", "options", "source"
    )
    for row in rows:
        table.add_row(row["name"], row["placement"], row["passes"], *_claims(row).values())
    return table


def _paragraph(row: Summary) -> RenderableType:
    facts = Table.grid(padding=(0, 2, 0, 0))
    for name, text in _claims(row).items():
        facts.add_row(f"  {name}", Text(text, overflow="fold"))
    head = Text.assemble((row["name"], "bold"), f"  {row['placement']}, {row['passes']}")
    return Group(head, facts, "")


def _claims(row: Summary) -> dict[str, str]:
    """What a family's source claims, by the head of its column."""
    bubble = row["bubble"] + ("" if row["clock"] == "makespan" else " on the longest stage")
    return {
        "bubble": bubble if row["bubble"] else "-",
        "peak": row["peak"] or "-",
        "exact when": "always" if row["exact_when"] == "True" else row["exact_when"],
        "options": ", ".join(row["options"]) or "-",
        "source": row["source"],
    }


def _devices(found: Summary, unit: str) -> Table:
    largest = max(found["peak_bytes"])
    bytes_name, scale = byte_unit(largest)
    reasons = [name for name in found["idle"][0] if name not in ("device", "busy", "idle")]
    reasons = [name for name in reasons if any(row[name] for row in found["idle"])]
    names = [">" + name.replace("_", " ") for name in reasons]
    table = table_of(">device", ">" + with_unit("busy", unit), ">idle", *names, ">peak activations",
                   *([f">peak {bytes_name}"] if largest else []))  # fmt: skip
    for row in found["idle"]:
        device = row["device"]
        cells = [device, row["busy"], row["idle"], *(row[name] for name in reasons),
                 found["peak_activations"][device]]  # fmt: skip
        held = [_short(found["peak_bytes"][device] / scale)] if largest else []
        table.add_row(*map(number_text, cells), *held)
    return table


def table_of(*heads: str) -> Table:
    """A table in the one style of all commands; a head that begins with > is of a column of
    numbers, which are never broken.

    In a narrow terminal heads of several words take several lines, and columns stand closer.
    """
    narrow = _columns() < 110
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0) if narrow else (0, 1))
    for head in heads:
        name, numbers = head.removeprefix(">"), head.startswith(">")
        table.add_column(
            name.replace(" ", "\n") if narrow and numbers else name,
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=numbers,
        )
    return table


def _columns() -> int:
    """Characters in a line of the terminal; many where there is no terminal."""
    usual = Console()
    return usual.width if usual.is_terminal else max(usual.width, 150)


def _short(value: float) -> str:
    """Four digits: enough for memory in a unit that suits it."""
    return number_text(value) if float(value).is_integer() else f"{value:,.4g}"


def _timed(value: Any, unit: str) -> str:
    return f"{number_text(value)} {unit}".rstrip()


def _clock(found: Summary) -> str:
    return str(found["clock"]).replace("_", " ")
