"""The command `llm-foundry`: predicted throughput of sharded training against LLM Foundry's."""

from __future__ import annotations

import json
from typing import Any

from sim.base.progress import bar

from .options import Json, Refit, print_rows


def llm_foundry_command(refit: Refit = False, as_json: Json = False) -> None:
    """Predict the throughput that LLM Foundry publishes for A100 and H100.

    Two efficiencies per kind of device are fitted to every second run on one node; all other runs
    are predicted.

    Example: python -m validation llm-foundry
    """
    from ..llm_foundry import KINDS, calibration, fitted, groups, read_runs, report

    found: dict[str, dict[str, Any]] = {}
    with bar("predicting", len(KINDS), shown=True) as move:
        for kind in KINDS:
            if move:
                move(len(found), kind)
            efficiency = calibration(kind)
            if refit:
                runs = groups(read_runs(), kind)["one node, fitted"]
                efficiency = fitted(runs, progress=True)
            found[kind] = report(kind, efficiency, progress=True)
    if as_json:
        print(json.dumps(found))
        return
    print_rows({"device": kind} | one["efficiency"] for kind, one in found.items())
    print()
    rows = ({"device": kind} | row for kind, one in found.items() for row in one["errors"])
    print_rows(rows, shares=("mean_absolute", "mean", "largest"))
