"""Training throughput that others measured on H100 and A100: fit half of it, predict the rest.

    python -m validation llm-foundry [--refit]

`data/llm_foundry.csv` holds 152 runs of MPT models from 760 million to 65 billion parameters, with
sequences of 512 to 65,536 tokens on 8 to 128 devices, sharded throughout (ZeRO stage 3), with and
without full recomputation: the bf16 rows of the tables in scripts/train/benchmarking/README.md of
mosaicml/llm-foundry (commit 061f2c7, Apache-2.0). Its models below 760 million are left out.

Two numbers per kind of device are fitted, to every second run on one node: what large
multiplications and what fused attention reach. All else is as plans take it for A100. The other
half and all runs on several nodes are predicted. The two A100s are one kind. Nodes are joined as
stated there, by 1,600 Gb/s for A100; of H100 nothing is said, 400 Gb/s per device is assumed. That
two numbers are enough was settled with all errors in view. What plans take for H100 is not this
program's: NVIDIA's reaches more of the device (`published/fit.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, cast

from sim.base.progress import bar
from sim.planner import Orders, Problem, estimate, prepare, rates
from sim.planner.cost_model import Configuration, Efficiency
from sim.planner.cost_model.configuration import Recompute
from sim.planner.hardware import Machine, machine_of
from sim.planner.models import Model

from .fitting import least
from .vtrain import MEGATRON

DATA = Path(__file__).parent / "data" / "llm_foundry.csv"
KINDS = {"a100-80g": ("a100-80g", "a100-40g"), "h100": ("h100",)}
FITTED = ("matmul", "fused_attention")
START = replace(MEGATRON, fused_attention=0.55, overlap=1.0, source="")
FOUND = {"a100-80g": (0.709, 0.334), "h100": (0.606, 0.177)}
"""What the fit found: `FITTED` by kind of device."""
BETWEEN = {"a100-80g": "hdr", "a100-40g": "hdr", "h100": "roce"}
SHAPES = {  # layers, hidden, heads
    "760m": (24, 1536, 12),
    "1b": (24, 2048, 16),
    "3b": (32, 2560, 20),
    "7b": (32, 4096, 32),
    "13b": (40, 5120, 40),
    "30b": (48, 7168, 56),
    "70b": (80, 8192, 64),
}


class Run(NamedTuple):
    """One measured throughput, in tokens per second and device."""

    device: str
    gpus: int
    model: Model
    configuration: Configuration
    throughput: float


class Error(NamedTuple):
    """Relative errors of a group of runs: mean absolute, signed mean, largest absolute."""

    group: str
    runs: int
    mean_absolute: float
    mean: float
    largest: float


def calibration(kind: str) -> Efficiency:
    """The committed numbers of a kind of device."""
    matmul, fused_attention = FOUND[kind]
    return replace(START, matmul=matmul, fused_attention=fused_attention)


def read_runs(path: Path = DATA) -> list[Run]:
    """The measured runs."""
    with path.open(newline="") as file:
        return [_run(row) for row in csv.DictReader(file)]


def groups(runs: Iterable[Run], kind: str) -> dict[str, list[Run]]:
    """The runs of a kind of device: those to fit, and two groups to predict."""
    mine = [run for run in runs if run.device in KINDS[kind]]
    alone = [run for run in mine if run.gpus == 8]
    return {
        "one node, fitted": alone[::2],
        "one node, predicted": alone[1::2],
        "several nodes, predicted": [run for run in mine if run.gpus > 8],
    }


def error(run: Run, efficiency: Efficiency) -> float:
    """Predicted over measured throughput, minus one."""
    problem = Problem(run.model, _machine(run.device, run.gpus), efficiency)
    found = estimate(problem, prepare(problem, run.configuration), _ORDERS)
    predicted = rates(problem, run.configuration, found.seconds).tokens_per_second_per_device
    return predicted / run.throughput - 1


def fitted(runs: Sequence[Run], *, progress: bool = False) -> Efficiency:
    """The efficiencies with the smallest mean absolute error on these runs; progress: a bar."""
    return least(
        lambda efficiency: fmean(abs(error(run, efficiency)) for run in runs),
        START,
        FITTED,
        ceilings=dict.fromkeys(FITTED, 1.0),
        progress=progress,
    )


def error_table(
    found: dict[str, list[Run]], efficiency: Efficiency, *, progress: bool = False
) -> list[Error]:
    """A row per group; progress: a bar."""
    rows = []
    with bar("predicting", sum(map(len, found.values())), shown=progress) as move:
        for name, runs in found.items():
            errors = []
            for run in runs:
                errors.append(error(run, efficiency))
                if move:
                    move(move.done + 1)
            absolute = [*map(abs, errors)]
            rows.append(Error(name, len(runs), fmean(absolute), fmean(errors), max(absolute)))
    return rows


def report(kind: str, efficiency: Efficiency, *, progress: bool = False) -> dict[str, Any]:
    """The efficiencies of a kind of device and the errors of each group, as plain objects;
    progress: a bar."""
    table = error_table(groups(read_runs(), kind), efficiency, progress=progress)
    return {
        "efficiency": {name: float(f"{getattr(efficiency, name):.3g}") for name in FITTED},
        "errors": [row._asdict() for row in table],
    }


_ORDERS = Orders()


@lru_cache
def _machine(device: str, gpus: int) -> Machine:
    return machine_of(device, gpus, between=BETWEEN[device])


def _run(row: dict[str, Any]) -> Run:
    layers, hidden, heads = SHAPES[row["model"]]
    sequence, gpus = int(row["sequence"]), int(row["gpus"])
    return Run(
        row["device"],
        gpus,
        Model(
            f"mpt-{row['model']}", layers, hidden, heads, 50368, gated=False, tied=True,
            biases=True, positions=sequence,
        ),
        Configuration(
            sequence, int(row["global_batch"]), microbatch=int(row["microbatch"]), data=gpus,
            zero=3, recompute=cast(Recompute, row["recompute"]),
        ),
        float(row["tokens_per_second_per_gpu"]),
    )  # fmt: skip
