"""The command `llm-foundry`: predicted throughput of sharded training against LLM Foundry's."""

from __future__ import annotations

import json

from .options import Json, Refit, print_rows


def llm_foundry_command(refit: Refit = False, as_json: Json = False) -> None:
    """Predict the throughput that LLM Foundry publishes for A100 and H100.

    Two efficiencies per kind of device are fitted to every second run on one node; all other runs
    are predicted.

    Example: python -m validation llm-foundry
    """
    from ..llm_foundry import KINDS, calibration, fitted, groups, read_runs, report

    found = {}
    for kind in KINDS:
        efficiency = calibration(kind)
        if refit:
            efficiency = fitted(groups(read_runs(), kind)["one node, fitted"])
        found[kind] = report(kind, efficiency)
    if as_json:
        print(json.dumps(found))
        return
    print_rows({"device": kind} | one["efficiency"] for kind, one in found.items())
    print()
    rows = ({"device": kind} | row for kind, one in found.items() for row in one["errors"])
    print_rows(rows, shares=("mean_absolute", "mean", "largest"))
