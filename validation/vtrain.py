"""Measured A100 iterations: fit efficiencies on runs without a pipeline, predict the rest.

The table is a csv whose columns are those of `COLUMNS`: Megatron-LM on A100 80 GB, GPT with 50,257
words, 1F1B, as released with vTrain (Bang et al., MICRO 2024; repository VIA-Research/vTrain, MIT
licence). It is read from a path and no row of it is kept here.

    python -m validation vtrain measured.csv

What the table does not say is taken alike for all rows: plain attention with dropout, 16-bit
gradients, no sharing of optimizer state, as many layers on each stage. In the backward pass sums of
tensor parallelism run beside weight gradients, as in Megatron-LM since November 2021 unless
`--no-async-tensor-model-parallel-allreduce` is given (megatron/mpu/layers.py). Rows of several
nodes compute every layer again in the backward pass (`full`): without it most would not fit. Their
wires are the four 200 Gb/s cards per node of eight that vTrain's own configurations state.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from sim.base.progress import bar
from sim.planner import Orders, Problem, estimate, prepare
from sim.planner.cost_model import Configuration, Efficiency, efficiency_of
from sim.planner.hardware import Machine, machine_of
from sim.planner.models import Model

from .csv_table import Line, csv_table
from .fitting import least

COLUMNS = (
    "gpus", "global_batch", "micro_batch", "hidden", "heads", "layers", "sequence",
    "tensor_parallel", "data_parallel", "pipeline_parallel", "iteration_ms", "set",
)  # fmt: skip
SETS = ("single-node", "multi-node")
FITTED = ("matmul", "memory", "misaligned", "ramp", "launch", "wire", "collective")
CEILINGS = {"matmul": 0.85, "memory": 0.9, "misaligned": 1.0, "wire": 0.8}
"""What kernels and collectives reach at best on this device (cuBLAS about 265 of 312 TFLOPS, NCCL
about 240 of 300 GB/s); without a ceiling the fit trades one against the other beyond reason."""
MEGATRON = efficiency_of("a100-80g")
"""What plans take for this device: fitted to these iterations and to other sources together
(`validation/published/fit.py`)."""
START = Efficiency(
    matmul=0.8,
    memory=0.7,
    misaligned=0.45,
    ramp=2e-5,
    launch=6e-5,
    wire=0.8,
    collective=4e-5,
)


class Run(NamedTuple):
    """One measured iteration."""

    model: Model
    configuration: Configuration
    gpus: int
    seconds: float
    group: str

    @property
    def pipeline(self) -> int:
        return self.configuration.pipeline


class Error(NamedTuple):
    """Relative errors of one group of runs: signed mean, mean and largest absolute value."""

    group: str
    pipeline: int
    runs: int
    mean: float
    mean_absolute: float
    largest: float


def read_runs(path: str | Path) -> list[Run]:
    """The measured iterations in a csv; ValueError names a missing column, or the line and the cell
    that cannot be read."""
    names, lines = csv_table(path, COLUMNS, expected=f"expected {', '.join(COLUMNS)}")
    return [_run(_cells(path, names, line)) for line in lines]


def _cells(path: str | Path, names: Sequence[str], line: Line) -> dict[str, str]:
    """The cells of a row by name, each of which can be read."""
    found = dict(zip(names, line.cells, strict=False))
    where = f"{path}, line {line.number}"
    for name in COLUMNS[:-1]:
        whole, text = name != "iteration_ms", found.get(name, "")
        if not (text.isdecimal() if whole else _is_time(text)) or float(text) <= 0:
            rule = "a whole number >= 1" if whole else "a number of milliseconds above 0"
            raise ValueError(f"{where}: {name} is {text!r}: it must be {rule}")
    if found.get("set") not in SETS:
        raise ValueError(
            f"{where}: set is {found.get('set', '')!r}: it must be {SETS[0]} or {SETS[1]}"
        )
    return found


def _is_time(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def predicted_seconds(run: Run, efficiency: Efficiency) -> float:
    """What the cost model and the evaluator say one iteration takes."""
    problem = Problem(run.model, _machine(run.gpus), efficiency, cut="even")
    return estimate(problem, prepare(problem, run.configuration), _ORDERS).seconds


def fitted(
    runs: Sequence[Run], start: Efficiency = START, *, thin: int = 3, progress: bool = False
) -> Efficiency:
    """The efficiencies with the smallest mean absolute relative error on runs without a pipeline.

    The groups (one node, several nodes) count alike, however many runs each has. Of a group with
    hundreds of runs every `thin`-th is used. progress: a bar.
    """
    flat = [run for run in runs if run.pipeline == 1]
    groups = [
        [run for run in flat if run.group == name] for name in sorted({r.group for r in flat})
    ]
    chosen = [group[::thin] if len(group) > 100 else group for group in groups]

    def loss(efficiency: Efficiency) -> float:
        return fmean(fmean(abs(error(r, efficiency)) for r in group) for group in chosen)

    return least(loss, start, FITTED, ceilings=CEILINGS, progress=progress)


def error(run: Run, efficiency: Efficiency) -> float:
    """Predicted over measured, minus one."""
    return predicted_seconds(run, efficiency) / run.seconds - 1


def error_table(
    runs: Sequence[Run], efficiency: Efficiency, *, progress: bool = False
) -> list[Error]:
    """Errors by group and pipeline size; progress: a bar."""
    found: dict[tuple[str, int], list[float]] = {}
    with bar("predicting", len(runs), shown=progress) as move:
        for done, run in enumerate(runs, start=1):
            found.setdefault((run.group, run.pipeline), []).append(error(run, efficiency))
            if move:
                move(done)
    return [
        Error(group, pipeline, len(errors), fmean(errors), fmean(map(abs, errors)),
              max(map(abs, errors)))
        for (group, pipeline), errors in sorted(found.items())
    ]  # fmt: skip


def report(
    runs: Sequence[Run], efficiency: Efficiency, *, progress: bool = False
) -> dict[str, Any]:
    """The efficiencies and their errors as plain objects; progress: a bar."""
    table = error_table(runs, efficiency, progress=progress)
    return {
        "efficiency": {name: getattr(efficiency, name) for name in FITTED},
        "errors": [row._asdict() for row in table],
        "all_multi_node_pipelines": _pooled(table, "multi-node"),
        "all_single_node_pipelines": _pooled(table, "single-node"),
    }


def _pooled(table: Sequence[Error], group: str) -> float | None:
    rows = [row for row in table if row.group == group and row.pipeline > 1]
    runs = sum(row.runs for row in rows)
    return sum(row.mean_absolute * row.runs for row in rows) / runs if runs else None


_ORDERS = Orders()


@lru_cache
def _machine(gpus: int) -> Machine:
    return machine_of("a100-80g", gpus, between="hdr-per-two")


def _run(row: dict[str, str]) -> Run:
    number = {name: int(row[name]) for name in COLUMNS[:-2]}
    several = row["set"] == "multi-node"
    return Run(
        Model(
            "gpt", number["layers"], number["hidden"], number["heads"], 50257, gated=False,
            tied=True, biases=True, dropout=True, positions=number["sequence"],
        ),
        Configuration(
            number["sequence"], number["global_batch"], microbatch=number["micro_batch"],
            tensor=number["tensor_parallel"], pipeline=number["pipeline_parallel"],
            data=number["data_parallel"], attention="plain", zero=0,
            tensor_overlap="weights", data_overlap=False,
            recompute="full" if several else "none",
        ),
        number["gpus"],
        float(row["iteration_ms"]) / 1e3,
        row["set"],
    )  # fmt: skip
