"""The command `vtrain`: predicted A100 iterations against measured ones."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import Json, Refit, print_rows


def vtrain_command(
    path: Annotated[str, typer.Argument(help="The csv of measured iterations.")],
    refit: Refit = False,
    as_json: Json = False,
) -> None:
    """Predict the Megatron-LM iterations that vTrain's authors measured on A100.

    The csv is theirs (Bang et al., MICRO 2024; repository VIA-Research/vTrain). Efficiencies are
    fitted to runs without a pipeline, so that errors of runs with one are those of predictions.

    Example: python -m validation vtrain measured.csv
    """
    from ..vtrain import MEGATRON, fitted, read_runs, report

    runs = read_runs(path)
    found = report(runs, fitted(runs, progress=True) if refit else MEGATRON, progress=True)
    if as_json:
        print(json.dumps(found))
        return
    print_rows([found["efficiency"]])
    print()
    print_rows(found["errors"], shares=("mean_absolute", "mean", "largest"))
    for kind in ("single", "multi"):
        mean = found[f"all_{kind}_node_pipelines"]
        error = "none" if mean is None else f"mean absolute error {mean:.2%}"
        print(f"{kind} node, all pipelines: {error}")
