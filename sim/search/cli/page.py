"""The page of what a search found: its time line, its bound, what it pulled, how steady it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...base.text import number_text
from ...engine.costs import Costs
from ...engine.simulate import simulate
from ...metrics.summary import plain_numbers, summary
from ...show.pages import TableCell
from ...show.report import page
from ..result import SearchResult


def search_page(
    found: SearchResult,
    costs: Costs,
    answer: Mapping[str, Any],
    *,
    facts: Mapping[str, str],
    command: str = "",
) -> str:
    """costs: what was asked, with the host where there is one. answer: what the command prints as
    JSON. facts, command: as in `sim.show.report.page`."""
    if costs.microbatch_scale:  # microbatches stand in the order in which they are fed
        scale = tuple(costs.microbatch_scale[i] for i in found.sequence)
        costs = replace(costs, microbatch_scale=scale)
    trace = simulate(found.schedule, costs)
    known = summary(trace, clock=found.clock)
    # The search knows more than the play: a bound for every order within the limit.
    known |= plain_numbers({"lower_bound": found.lower_bound, "gap": found.gap})
    tables = {}
    if answer.get("levers"):
        tables["What is done to save memory"] = _levers(answer["levers"])
    if answer.get("steadiness"):
        tables["When times vary"] = steadiness_cells(answer["steadiness"])
    return page([(known, trace)], facts=facts, note=_note(found), command=command, tables=tables)


def _note(found: SearchResult) -> str:
    clock = found.clock.replace("_", " ")
    proof = (
        f"proven: no order within the limits has a shorter {clock}" if found.proven_optimal
        else f"at most {found.gap:.2%} above the best order within the limits on the {clock} clock"
    )  # fmt: skip
    interval = (
        f"a microbatch every {number_text(found.interval)} in the steady state, where "
        f"{number_text(found.interval_bound)} is a bound"
    )
    early = "; interrupted before its time was up" if found.interrupted else ""
    return f"Found by {found.method} in {found.seconds:.1f} s: {proof}; {interval}{early}."


def _levers(rows: Sequence[Mapping[str, int]]) -> list[list[TableCell]]:
    """How many microbatches of each stage keep, recompute and offload their activations."""
    names = [*rows[0]]
    return [[*map(TableCell, names)]] + [
        [TableCell(f"{row[name]}", row[name]) for name in names] for row in rows
    ]


def steadiness_cells(known: Mapping[str, Any]) -> list[list[TableCell]]:
    """What the found order, the best for times as they are, and the families lose."""
    within = f"{known['quantile']:.0%} of {known['draws']} draws within"
    heads = ["schedule", "as it is", within, "more"]
    families = sorted(known["families"], key=lambda family: family["quantile"])
    lines = [[*map(TableCell, heads)]]
    for row in (known["found"], known["nominal_best"], *families):
        more = row["quantile"] / row["nominal"] - 1 if row["nominal"] else 0.0
        lines.append(
            [
                TableCell(row["name"]),
                TableCell(number_text(row["nominal"]), float(row["nominal"])),
                TableCell(f"{row['quantile']:,.4g}", float(row["quantile"])),
                TableCell(f"{more:.1%}", float(more)),
            ]
        )
    return lines
