"""The command `throughput`: what the zero-bubble papers published, out of the planner."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from .options import Json, print_rows


def throughput_command(
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the number afresh, instead of the committed one.")
    ] = False,
    moves: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Work of each search of an order, in passes played. [default: 100000000]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict published throughput and published winners with one fitted number.

    The throughput is Table 4 of arXiv 2401.10241, the winners are Table 3 of arXiv 2405.15362.

    Example: python -m validation throughput
    """
    from ..published_throughput import MATMUL, MOVES, fitted_matmul, report

    work = MOVES if moves is None else moves
    found = report(
        fitted_matmul(moves=work, progress=True) if refit else MATMUL, moves=work, progress=True
    )
    if as_json:
        print(json.dumps(found))
        return
    print(f"large multiplications reach {found['matmul']:g} of peak (fitted)\n")
    for name in ("one_layer_less_at_the_ends", "balanced_stages"):
        table = found[name]
        print(
            f"{name.replace('_', ' ')}: mean absolute error {table['mean_absolute_error']:.2%}, "
            f"largest {table['largest_error']:.2%}"
        )
        heads = ("model", "schedule", "microbatches", "predicted", "published", "error")
        print_rows(dict(zip(heads, cell, strict=True)) for cell in table["cells"])
        print()
    print_rows(row for case in found["winners"] for row in _winners(case))


def _winners(case: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per schedule of one question."""
    return [
        {
            "sequence": case["sequence"],
            "schedule": schedule,
            "over 1f1b": ratio,
            "published": case["published_over_1f1b"][schedule],
            "mfu": case["mfu"][schedule],
            "published mfu": case["published_mfu"][schedule],
        }
        for schedule, ratio in case["over_1f1b"].items()
    ]
