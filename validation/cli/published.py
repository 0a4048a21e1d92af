"""The command `published`: runs that others measured, against what a plan predicts for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from sim.base.progress import bar

from .options import Json, print_words

NUMBERS = {"mean_absolute_error": "error", "bias": "bias", "median": "median", "worst": "worst",
           "floor": "floor", "memory_error": "memory", "regret": "regret"}  # fmt: skip
"""Of a group, with the head of its column."""


def published_command(
    path: Annotated[str, typer.Argument(help="The csv of published runs.")],
    as_json: Json = False,
    fit: Annotated[
        str, typer.Option(help="Fit these devices' efficiencies (or all) and print them instead.")
    ] = "",
    vtrain: Annotated[
        str | None, typer.Option(help="For --fit of A100: the csv of `validation vtrain`.")
    ] = None,
) -> None:
    """Predict training runs that others measured and published, each as it was configured.

    A row that cannot be expressed is counted by what it lacks. Errors are predicted throughput over
    measured, minus one; regret is what the best measured configuration of a question gains over the
    one that is predicted to be best. Groups by "kind" are pipelined rows with complete settings
    that nothing was fitted to.

    Example: python -m validation published validation/data/published_runs.csv
    """
    if fit:
        _fit(path, fit, vtrain)
        return
    from ..published import group_table, judged, questions, read_rows
    from ..published.groups import missing_counts

    verdicts = judged(read_rows(path), progress=True)
    groups = group_table(verdicts)
    if as_json:
        rows = [verdict.as_json() for verdict in verdicts]
        print(json.dumps({"rows": rows, "groups": groups}, allow_nan=False))
        return
    _show(groups)
    asked = [q for q in questions(verdicts) if q.regret > 0]
    if asked:
        print("\nwhere the first choice is not the best one measured")
        for q in sorted(asked, key=lambda q: -q.regret):
            print_words(f"{q.regret:.1%}  {q.source}, {q.model}: {q.chosen}, not {q.best}")
    if lacking := missing_counts(verdicts):
        print("\nwhat rows lack")
        for name, count in lacking.items():
            print(f"  {count:4}  {name}")


def _fit(path: str, which: str, vtrain: str | None) -> None:
    """The entries of `sim/planner/cost_model/efficiencies.json` that a fit finds."""
    from ..published import read_rows
    from ..published.fit import FITS, entry, fitted, other_errors
    from ..published.machine import NAMES
    from ..published.split import is_fitted

    devices = list(FITS) if which == "all" else [word.strip() for word in which.split(",")]
    for device in devices:
        if device not in FITS:
            raise ValueError(f"nothing is fitted for {device}: use all or {', '.join(FITS)}")
    rows = read_rows(path)
    found: dict[str, dict[str, Any]] = {}
    with bar("fitting", len(devices), shown=True) as move:
        for device in devices:
            if move:
                move(len(found), device)
            more = other_errors(device, vtrain)
            mine = [r for r in rows if NAMES.get(r.text("gpu"), r.text("gpu")) == device]
            mine = [row for row in mine if is_fitted(row)]
            best = fitted(device, rows, more, progress=True)
            found[device] = entry(device, best, len(mine), more)
    print(json.dumps(found, indent=1))


def _show(groups: Iterable[Mapping[str, Any]]) -> None:
    from sim.show.table import print_table, table_of

    table = table_of("group", ">judged", *(f">{head}" for head in NUMBERS.values()),
                     ">OOM refused", ">ran refused")  # fmt: skip
    last = "all"
    for group in groups:
        if group["by"] != last:
            last = group["by"]
            table.add_section()
            table.add_row(f"by {last}")
        table.add_row(
            group["group"], f"{group['judged']}/{group['rows']}",
            *(_percent(group[name]) for name in NUMBERS),
            f"{group['out_of_memory_refused']}/{group['out_of_memory']}",
            f"{group['ran_but_refused']}/{group['ran']}",
        )  # fmt: skip
    print_table(table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
