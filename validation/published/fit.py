"""Efficiencies of devices, fitted to the rows that may be fitted to.

    python -m validation published validation/data/published_runs.csv --fit --vtrain measured.csv

prints the entries of `sim/planner/cost_model/efficiencies.json`. A100 has two more sources: the
Megatron-LM iterations that came with vTrain, without a pipeline (of which no row is kept here), and
half of LLM Foundry's runs on one node. What is not fitted is stated in `FITS`: too few rows tell
numbers apart that a pass adds up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sim.planner import Orders, estimate, prepare
from sim.planner.cost_model import Efficiency

from ..fitting import closest
from .machine import NAMES
from .measured import measured_seconds
from .predict import missing_features, question
from .row import Row
from .split import is_fitted

Error = Callable[[Efficiency], float]
CEILINGS = {"matmul": 0.85, "fp8": 0.85, "fp4": 0.85, "fused_attention": 0.75, "memory": 0.9,
            "misaligned": 1.0, "unaligned": 1.0, "wire": 0.85, "grouped": 1.0}  # fmt: skip
"""What kernels and collectives reach at best; without them the fit trades one number against
another beyond reason."""


@dataclass(frozen=True)
class Fit:
    """What of a device is fitted, where the search for it begins, and whether sources count alike,
    however many rows they have, or rows do."""

    names: tuple[str, ...]
    start: Mapping[str, float] = field(default_factory=dict)
    by_source: bool = False


FITS: dict[str, Fit] = {
    "a100-80g": Fit(
        ("matmul", "fused_attention", "memory", "misaligned", "ramp", "launch", "wire",
         "collective", "unaligned"),
        {"matmul": 0.8, "fused_attention": 0.4, "memory": 0.75, "ramp": 3e-5, "launch": 6e-5,
         "wire": 0.75, "collective": 6e-5},
        by_source=True,
    ),
    "h100": Fit(
        ("matmul", "fused_attention", "fp8", "wire", "grouped", "dispatch"),
        {"matmul": 0.7, "fp8": 0.6, "ramp": 1e-5, "collective": 1e-5},
    ),
    "b200": Fit(
        ("matmul", "fused_attention", "fp8", "wire", "grouped", "dispatch"),
        {"matmul": 0.5, "fused_attention": 0.45, "fp8": 0.4, "ramp": 8e-6, "collective": 1e-5},
    ),
    "gb200": Fit(  # hosts that wait as on GB300, which are the same: no fitted row has any
        ("matmul", "fp8", "fp4", "grouped"),
        {"matmul": 0.6, "fused_attention": 0.5, "fp8": 0.5, "fp4": 0.4, "ramp": 8e-6, "wire": 0.8,
         "dispatch": 3.59e-3},
    ),
    "gb300": Fit(  # FP4 as on GB200, of two thirds of its peak, times what FP8 gains over it
        ("matmul", "fp8", "grouped", "dispatch"),
        {"matmul": 0.6, "fused_attention": 0.5, "fp8": 0.5, "fp4": 0.333, "ramp": 8e-6,
         "wire": 0.8},
    ),
    "a100-pcie": Fit(
        ("matmul", "wire"),
        {"fused_attention": 0.305, "memory": 0.754, "ramp": 1e-5, "matmul": 0.65, "wire": 0.5},
    ),
}  # fmt: skip


def fitted(
    device: str, rows: Iterable[Row], more: Mapping[str, Sequence[Error]], *, progress: bool = False
) -> Efficiency:
    """The efficiencies of a device; more: errors of other sources by name; progress: a bar."""
    fit = FITS[device]
    groups: dict[str, list[Error]] = {name: list(errors) for name, errors in more.items()}
    for row in rows:
        if (
            NAMES.get(row.text("gpu"), row.text("gpu")) == device
            and is_fitted(row)
            and (error := row_error(row))
        ):
            experts = " experts" if '"count"' in row.text("shape") else ""
            group = row.text("source").split(" 2")[0] + experts
            groups.setdefault(group, []).append(error)
    start = replace(Efficiency(), **_fields(fit.start))
    weights = [1.0 if fit.by_source else len(errors) for errors in groups.values()]
    found = closest(
        list(groups.values()), start, fit.names, weights=weights, ceilings=CEILINGS,
        progress=progress,
    )  # fmt: skip
    return replace(found, **_fields({n: float(f"{getattr(found, n):.3g}") for n in fit.names}))


def row_error(row: Row) -> Error | None:
    """The logarithm of measured over predicted seconds of a row; None where there is none."""
    measured = measured_seconds(row)
    if measured is None or any(missing_features(row)):
        return None
    try:
        problem, configuration = question(row)
        prepare(problem, configuration)
    except ValueError:
        return None

    def error(efficiency: Efficiency) -> float:
        now = replace(problem, efficiency=efficiency)
        found = estimate(now, prepare(now, configuration), _ORDERS).seconds
        return math.log(measured / found)

    return error


def other_errors(device: str, vtrain: str | None) -> dict[str, list[Error]]:
    """Errors of the sources that are no published rows, for A100: every sixth run on one node
    without a pipeline and all on several, of the csv at `vtrain`, and LLM Foundry's fitted half."""
    from .. import llm_foundry
    from ..vtrain import error, read_runs

    if device != "a100-80g":
        return {}
    halves = llm_foundry.groups(llm_foundry.read_runs(), device)
    found: dict[str, list[Error]] = {
        "LLM Foundry": [
            lambda e, run=run: math.log(1 + llm_foundry.error(run, e))  # type: ignore[misc]
            for run in halves["one node, fitted"]
        ]
    }
    if vtrain:
        flat = [run for run in read_runs(vtrain) if run.pipeline == 1]
        kinds = {"one": "single-node", "several": "multi-node"}
        for name, kind in kinds.items():
            some = [run for run in flat if run.group == kind][:: 6 if name == "one" else 1]
            found[f"vTrain, {name} node"] = [
                lambda e, run=run: -math.log(1 + error(run, e))  # type: ignore[misc]
                for run in some
            ]
    return found


def entry(device: str, found: Efficiency, rows: int, others: Iterable[str]) -> dict[str, Any]:
    """What `efficiencies.json` holds of it: numbers that are not the defaults."""
    usual = Efficiency()
    stated = {
        name: value
        for name, value in vars(found).items()
        if name != "source" and value != getattr(usual, name)
    }
    names = ", ".join(FITS[device].names)
    told = "".join(f" and {name}" for name in others)
    return stated | {
        "source": f"{names} fitted by validation/published/fit.py to {rows} published runs{told}"
    }


def _fields(numbers: Mapping[str, float]) -> dict[str, Any]:
    return dict(numbers)


_ORDERS = Orders()
