"""What training a model on a machine costs: work, bytes and seconds of every pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .collectives import all_gather, all_reduce, all_to_all
from .communication import layer_communication, reduce_seconds, send_seconds
from .configuration import Configuration
from .efficiency import Efficiency, efficiencies, efficiency_of, read_profile, write_profile
from .flops import (
    Passes,
    attention_flops,
    head_flops,
    layer_flops,
    model_flops,
    prediction_flops,
    tower_flops,
)
from .kernels import Bench
from .legality import refusal
from .memory import Kept, activation, boundary_bytes, full_activation
from .parameters import Held, PerParameter, Static, held_parameters, static
from .passes import embedding_seconds, head_seconds, layer_seconds, optimizer_seconds
from .pieces import Parts, Stage, parts
from .programs import PROGRAMS, Program
from .spent import Spent
from .split import (
    Part,
    Split,
    balanced_split,
    even_split,
    evened,
    imbalance,
    layout_text,
    parse_layout,
    split_of,
    with_predictions,
)
from .stages import Tail, automatic_split, costs_of, stages_of, tail_seconds

EFFICIENCIES: Mapping[str, Efficiency]
"""Calibrations by device name, read on first use; a device without one gets the defaults."""

__all__ = [
    "EFFICIENCIES",
    "PROGRAMS",
    "Bench",
    "Configuration",
    "Efficiency",
    "Held",
    "Kept",
    "Part",
    "Parts",
    "Passes",
    "PerParameter",
    "Program",
    "Spent",
    "Split",
    "Stage",
    "Static",
    "Tail",
    "activation",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "attention_flops",
    "automatic_split",
    "balanced_split",
    "boundary_bytes",
    "costs_of",
    "efficiencies",
    "efficiency_of",
    "embedding_seconds",
    "even_split",
    "evened",
    "full_activation",
    "head_flops",
    "head_seconds",
    "held_parameters",
    "imbalance",
    "layer_communication",
    "layer_flops",
    "layer_seconds",
    "layout_text",
    "model_flops",
    "optimizer_seconds",
    "parse_layout",
    "parts",
    "prediction_flops",
    "read_profile",
    "reduce_seconds",
    "refusal",
    "send_seconds",
    "split_of",
    "stages_of",
    "static",
    "tail_seconds",
    "tower_flops",
    "with_predictions",
    "write_profile",
]


def __getattr__(name: str) -> Any:
    if name == "EFFICIENCIES":
        return efficiencies()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
