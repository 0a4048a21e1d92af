"""Published throughput and published winners, predicted with one fitted number.

    python -m validation throughput

The device's calibration is the one fitted to other people's iterations (`validation/vtrain.py`).
Only `matmul`, the fraction of peak that large multiplications reach, is fitted again, once for all
rows of arXiv 2401.10241, Table 4, because the programs differ; the same number then predicts the
best configurations of arXiv 2405.15362, Table 3, where nothing is fitted. What the papers'
Megatron-LM does is set, not fitted: a fused backward hides the collectives of B (its default),
attention is plain in the first paper and flash in the second, tensor parallelism comes with
sequence parallelism, data parallelism with a distributed optimizer, and optimizer steps do not wait
for each other (post-validation), so that the clock is the longest stage. ZB-1p and ZB-2p are
searched orders at the memory of one and of two times 1F1B's; in the grid search ZB-1P is zb-h1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from sim import FAMILIES, Schedule
from sim.base.progress import bar
from sim.planner import Problem, Space, plan, prepare, rates
from sim.planner.cost_model import Configuration, Efficiency, costs_of, efficiency_of
from sim.planner.estimate import TICKS, Cut
from sim.planner.hardware import machine_of
from sim.planner.models import MODELS
from sim.search import evaluate, search

DATA = Path(__file__).parent / "data"
MATMUL = 0.78
"""The fitted number: see `fitted_matmul`."""
CANDIDATES = tuple(round(0.70 + 0.02 * i, 2) for i in range(10))
"""What it is chosen from."""
MOVES = 100_000_000
"""Counted work of each search of an order: four seconds' worth, and the same on every machine."""
SHARES = {"zb-1p": 1, "zb-2p": 2}


class Throughput(NamedTuple):
    """One cell of the table: samples per device and second; published is None where the paper
    prints only the ranking."""

    model: str
    schedule: str
    microbatches: int
    predicted: float
    published: float | None

    @property
    def error(self) -> float:
        return self.predicted / self.published - 1 if self.published else 0.0


class Winners(NamedTuple):
    """The best configuration of each schedule on one question."""

    sequence: int
    batch: int
    mfu: dict[str, float]
    keys: dict[str, str]

    @property
    def winner(self) -> str:
        return max(self.mfu, key=self.mfu.__getitem__)

    @property
    def gain(self) -> float:
        """The winner's speed over that of 1F1B."""
        return self.mfu[self.winner] / self.mfu["1f1b"]


def calibration(matmul: float = MATMUL) -> Efficiency:
    """The A100's, with this one number in place of the fitted one."""
    return replace(efficiency_of("a100-80g"), matmul=matmul, overlap=1.0)


def throughput(
    matmul: float = MATMUL, *, cut: Cut = "one-less", microbatches: Sequence[int] = (),
    moves: int = MOVES, progress: bool = False,
) -> list[Throughput]:  # fmt: skip
    """The table, and two schedules of which the paper ranks the throughput.

    cut: "one-less" as in the paper (schedules whose stages cannot be cut so are balanced), or
    "balanced" for all. moves: counted work of each search of an order. progress: a bar on
    stderr.
    """
    published = published_throughput()
    asked = [
        (_Cell(name, schedule, m, cut), cells and cells[i])
        for name, rows in published["models"].items()
        for i, m in enumerate(published["microbatches"])
        for schedule in ("1f1b", "zb-1p", "zb-2p", "interleaved", "zb-v")
        for cells in (rows.get(schedule),)
        if not microbatches or m in microbatches
    ]
    found: list[Throughput] = []
    with bar("predicting", len(asked), shown=progress) as move:
        for cell, printed in asked:
            if move:
                move(len(found), f"{cut} stages, {cell.model}, {cell.schedule}")
            predicted = _samples(cell, matmul, moves)
            found.append(Throughput(*cell[:3], predicted, printed))
    return found


def fitted_matmul(
    candidates: Sequence[float] = CANDIDATES, *, moves: int = MOVES, progress: bool = False
) -> float:
    """The candidate with the smallest mean absolute error over the table's printed cells; progress:
    a bar on stderr."""
    losses: dict[float, float] = {}
    with bar("fitting", len(candidates), shown=progress) as move:
        for matmul in candidates:
            if move:
                move(len(losses), "fitting")
            cells = throughput(matmul, moves=moves, progress=progress)
            losses[matmul] = fmean(abs(cell.error) for cell in cells if cell.published)
    return min(candidates, key=losses.__getitem__)


def winners(case: dict[str, Any], matmul: float = MATMUL) -> Winners:
    """The fastest configuration of each schedule that fits, by predicted MFU."""
    names = {"zb-1p": "zb-h1"}
    mfu, keys = {}, {}
    for schedule in case["mfu"]:
        family = names.get(schedule, schedule)
        table = plan(
            MODELS["gpt-98.5b"], machine_of("40xa100-80g", between="hdr-per-two"),
            sequence=case["sequence"], batch=case["batch"], efficiency=calibration(matmul),
            clock="longest_stage", top=1, jobs=1,
            space=Space(schedules=(family,), recompute=("none",)),
        )  # fmt: skip
        mfu[schedule] = 100 * float(table["mfu"].iloc[0])
        keys[schedule] = str(table["key"].iloc[0])
    return Winners(case["sequence"], case["batch"], mfu, keys)


def published_throughput() -> dict[str, Any]:
    """The printed cells of arXiv 2401.10241, Table 4, with their setting."""
    found: dict[str, Any] = json.loads((DATA / "published_throughput.json").read_text())
    return found


def published_winners() -> dict[str, Any]:
    """The printed cells of arXiv 2405.15362, Table 3."""
    found: dict[str, Any] = json.loads((DATA / "published_winners.json").read_text())
    return found


def report(matmul: float, *, moves: int = MOVES, progress: bool = False) -> dict[str, Any]:
    """Both replications as plain objects; progress: a bar on stderr."""
    cases = published_winners()["cases"]
    with bar("predicting", 2 + len(cases), shown=progress) as move:
        cells = throughput(matmul, moves=moves, progress=progress)
        if move:
            move(1)
        balanced = throughput(matmul, cut="balanced", moves=moves, progress=progress)
        best: list[dict[str, Any]] = []
        for case in cases:
            if move:
                move(2 + len(best), f"best configurations, batch {case['batch']}")
            best.append(_winners(case, matmul))
    return {
        "matmul": matmul,
        "one_layer_less_at_the_ends": _summary(cells),
        "balanced_stages": _summary(balanced),
        "winners": best,
    }


def rankings(cells: Sequence[Throughput]) -> dict[str, list[str]]:
    """Schedules by predicted throughput, fastest first, for each model and m."""
    found: dict[str, list[Throughput]] = {}
    for cell in cells:
        found.setdefault(f"{cell.model} m={cell.microbatches}", []).append(cell)
    return {
        name: [cell.schedule for cell in sorted(group, key=lambda cell: -cell.predicted)]
        for name, group in found.items()
    }


def _winners(case: dict[str, Any], matmul: float) -> dict[str, Any]:
    found = winners(case, matmul)
    return {
        "sequence": found.sequence, "batch": found.batch, "winner": found.winner,
        "gain": round(found.gain, 4), "published_gain": case["gain"],
        "over_1f1b": {k: round(v / found.mfu["1f1b"], 3) for k, v in found.mfu.items()},
        "published_over_1f1b": {
            k: round(v / case["mfu"]["1f1b"], 3) for k, v in case["mfu"].items()
        },
        "mfu": {k: round(v, 1) for k, v in found.mfu.items()},
        "published_mfu": case["mfu"], "configurations": found.keys,
    }  # fmt: skip


def _summary(cells: Sequence[Throughput]) -> dict[str, Any]:
    return {
        "mean_absolute_error": round(fmean(abs(c.error) for c in cells if c.published), 4),
        "largest_error": round(max(abs(c.error) for c in cells), 4),
        "cells": [
            [c.model, c.schedule, c.microbatches, round(c.predicted, 3), c.published,
             round(c.error, 4) if c.published else None] for c in cells
        ],
        "rankings": rankings(cells),
    }  # fmt: skip


class _Cell(NamedTuple):
    model: str
    schedule: str
    microbatches: int
    cut: Cut


def _samples(cell: _Cell, matmul: float, moves: int) -> float:
    problem, c = _question(cell, matmul)
    prepared = prepare(problem, c)
    order = _order(cell, moves)
    costs = costs_of(prepared.bench, prepared.stages, order.placement, ticks=TICKS)
    spent = float(evaluate(order, costs).longest_stage) / TICKS + prepared.tail
    return rates(problem, c, spent).samples_per_second / c.n_devices


def _question(cell: _Cell, matmul: float) -> tuple[Problem, Configuration]:
    name, schedule, m, cut = cell
    published = published_throughput()
    rows, p = published["models"][name], published["devices"]
    virtual = {"interleaved": rows["interleaved_stages"], "zb-v": 2}.get(schedule, 1)
    family = "zb-h1" if schedule in SHARES else schedule  # stages and split passes, not its order
    even = (MODELS[name].layers + 2) % (p * virtual) == 0
    problem = Problem(
        MODELS[name], machine_of(f"{p}xa100-80g"), calibration(matmul), clock="longest_stage",
        cut=cut if even else "balanced",
    )  # fmt: skip
    c = Configuration(
        published["sequence"], m * rows["microbatch"], microbatch=rows["microbatch"], pipeline=p,
        virtual=virtual, schedule=family, attention="plain", zero=0,
    )  # fmt: skip
    return problem, c


@lru_cache(maxsize=64)
def _order(cell: _Cell, moves: int) -> Schedule:
    """The order of passes; searched ones are searched once, under the committed calibration."""
    schedule, m = cell.schedule, cell.microbatches
    problem, c = _question(cell, MATMUL)
    if schedule not in SHARES:
        family = FAMILIES[schedule]
        options = {"v": c.virtual} if "v" in family.options else {}
        return family(c.pipeline, m, **options)
    prepared = prepare(problem, c)
    costs = costs_of(prepared.bench, prepared.stages, tuple(range(c.pipeline)), ticks=10**6)
    found = search(
        c.pipeline, m, costs, placement="straight", memory_limit=SHARES[schedule] * c.pipeline,
        clock="longest_stage", moves=moves, workers=1, progress=False,
    )  # fmt: skip
    return found.schedule
