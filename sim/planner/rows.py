"""The rows of a plan: one configuration each, with what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .cost_model import Configuration
from .estimate import rates
from .problem import Problem
from .reasons import memory_reason
from .store import Row, key_of

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
NO_PIPELINE = "(none)"


def told_as(schedule: str, pipeline: int) -> str:
    """The schedule that a reader compares: all are one without a pipeline."""
    return schedule if pipeline > 1 else NO_PIPELINE


def row_of(c: Configuration, status: str, reason: str, at_least: float | None = None) -> Row:
    """A row before there are any times."""
    return {
        "key": key_of(c), "status": status, "reason": reason, "schedule": c.schedule,
        "pipeline": c.pipeline, "virtual": c.virtual, "tensor": c.tensor, "data": c.data,
        "expert": c.expert, "microbatch": c.microbatch, "microbatches": c.n_microbatches,
        "recompute": c.recompute, "zero": c.zero, "attention": c.attention,
        "sequence_parallel": c.sequence_parallel, "sequence": c.sequence, "batch": c.batch,
        "context": c.context, "context_by": c.context_by, "precision": c.precision,
        "vocabulary": c.vocabulary, "expert_tensor": c.expert_tensor,
        "recompute_layers": c.recompute_layers, "tensor_overlap": c.tensor_overlap,
        "data_overlap": c.data_overlap, "frozen": c.frozen, "lora": c.lora,
        "optimizer": c.optimizer, "capacity": c.capacity, "program": c.program,
        "offloaded": c.offloaded,         "at_least_seconds": at_least,
    }  # fmt: skip


def refused_row(problem: Problem, c: Configuration, need: float, at_least: float) -> Row:
    """A row that needs too many bytes."""
    return row_of(c, "memory", memory_reason(problem, need), at_least) | {"memory": need}


def configuration_of(row: Any) -> Configuration:
    """The configuration in a row of a plan."""
    found: dict[str, Any] = {}
    for field in fields(Configuration):
        value = row[field.name]
        found[field.name] = (
            bool(value)
            if isinstance(field.default, bool)
            else str(value)
            if isinstance(field.default, str)
            else float(value)
            if isinstance(field.default, float)
            else int(value)
        )
    return Configuration(**found)


def frame(problem: Problem, rows: Iterable[Row], interrupted: bool) -> pd.DataFrame:
    """The rows as a table: simulated ones first, fastest first, then refused ones."""
    import pandas as pd

    order = {"simulated": 0, "bound": 1, "memory": 2, "illegal": 3}
    table = pd.DataFrame(list(rows))
    for name in ("seconds", "bubble", "memory", "tail_seconds", "layout"):
        if name not in table:
            table[name] = None if name == "layout" else float("nan")
    if len(table):
        table["_order"] = table["status"].map(order)
        table = table.sort_values(
            ["_order", "seconds", "at_least_seconds", "key"], ignore_index=True
        ).drop(columns="_order")
        speeds = [
            rates(problem, configuration_of(row), row["seconds"])
            if row["status"] == "simulated"
            else (None, None, None)
            for _, row in table.iterrows()
        ]
        names = ("samples_per_second", "tokens_per_second_per_device", "mfu")
        for name, column in zip(names, zip(*speeds, strict=True), strict=True):
            table[name] = pd.array(column, dtype="Float64")
        table["memory_gib"] = table.pop("memory") / GIB
        table.insert(0, "rank", range(1, len(table) + 1))
    table.attrs.update(
        model=problem.model.name, machine=problem.machine.name, interrupted=interrupted,
        efficiency=problem.efficiency.source or "given",
    )  # fmt: skip
    return table
