"""Settings of Megatron-Bridge's published runs that its tables leave out, as its recipes have them.

From scripts/performance/configs of github.com/NVIDIA-NeMo/Megatron-Bridge, a file for each family
of models (`*_workload_base_configs.py`): dispatchers of tokens (`moe_flex_dispatcher_backend`),
whether the router and what sorts tokens are CUDA graphs (`cuda_graph_scope`), what sending tokens
is hidden behind (`moe_a2a_overlap`), what is computed again (`recompute_modules`), whether weights
are shared out (`use_megatron_fsdp`) and how many layers wait in the host's memory
(`cpu_offloading_num_layers`). A row is matched by its model, device and sizes, which tell the
recipes of different releases apart. Dropping tokens needs the plain dispatcher.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .row import Row

SOURCE = "Megatron-Bridge"
GROK = ("NVIDIA dgxc", "grok-1")
"""Experts there take their even share of tokens and are filled up to it:
`moe_expert_capacity_factor` 1.0 and `moe_pad_expert_input_to_capacity` in grok1/grok1_314b.yaml."""


class Recipe(NamedTuple):
    """models, devices: which rows, by how the names begin. sizes: columns that have to be so.
    precisions: words of which one has to be in the precision; none: any. options: of a
    configuration."""

    models: tuple[str, ...]
    devices: tuple[str, ...]
    options: Mapping[str, Any]
    sizes: Mapping[str, int] = {}
    precisions: tuple[str, ...] = ()


_ANY = ("",)
_FLEX = {"program": "megatron-flex"}
_GRAPHS = {"program": "megatron-graphs"}
_BESIDE = {"program": "megatron-graphs-overlap"}
_WHOLE = {"tp": 1, "pp": 1}
RECIPES = (
    Recipe(("deepseekv3", "kimik2"), ("h100", "b200"), _FLEX),
    Recipe(("qwen330b",), ("h100",), _FLEX),
    Recipe(("deepseekv3", "kimik2", "qwen330b"), ("gb", "b300"), _GRAPHS),
    Recipe(("deepseekv3",), ("b300",), _FLEX, {"pp": 16}),
    Recipe(("qwen330b",), ("b200",), _GRAPHS, {"mbs": 4}),
    Recipe(("nemotron3",), _ANY, _GRAPHS),
    Recipe(("nemotron3nano",), ("h100",), _FLEX),
    Recipe(("qwen3235b",), ("gb",), _GRAPHS),
    Recipe(("qwen3235b",), ("h100",), {"program": "megatron-overlap"}),
    Recipe(("deepseekv3",), ("b200",), _BESIDE, {"ep": 32}),
    Recipe(("deepseekv3",), ("gb300",), _BESIDE, {"mbs": 1, "pp": 2}, ("MX",)),
    Recipe(("gptoss",), ("b300",), _GRAPHS, {"ep": 8}),
    Recipe(("gptoss",), ("gb200", "b200", "h100"), {"recompute": "elementwise"}),
    Recipe(("nemotron3nano",), ("h100",), {"recompute": "experts"}),
    Recipe(("nemotron3super",), ("b300",), {"program": "megatron"}, {"ep": 8}),
    Recipe(("nemotron3super",), ("b300",), {"recompute": "elementwise"}, {"ep": 8}, ("FP4",)),
    Recipe(("nemotron3super",), ("gb200",), {"recompute": "experts"}),
    Recipe(("nemotron3super",), ("b200",), {"recompute": "elementwise"}),
    Recipe(("llama370b",), ("gb200",), {"zero": 3, "offloaded": 40}, _WHOLE | {"mbs": 2}),
    Recipe(("llama370b",), ("gb200",), {"zero": 3, "offloaded": 20}, _WHOLE | {"mbs": 1}),
    Recipe(("llama370b",), ("gb300",), {"zero": 3, "offloaded": 20}, _WHOLE),
    Recipe(("llama370b",), ("b300",), {"zero": 3}, _WHOLE),
    Recipe(("llama370b",), ("b200",), {"zero": 3, "offloaded": 5}, _WHOLE),
)  # fmt: skip
"""Later ones add to earlier ones."""


def recipe(row: Row) -> dict[str, Any]:
    """What the recipes say of a row, as options of a configuration."""
    found: dict[str, Any] = {}
    if row.text("source").startswith(GROK[0]) and row.text("model").startswith(GROK[1]):
        return {"capacity": 1.0}
    if not row.text("source").startswith(SOURCE) or "token dropping" in row.text("missing"):
        return found
    name = re.sub(r"[^a-z0-9]", "", row.text("model").lower()).replace("llama31", "llama3")
    for each in RECIPES:
        if (
            name.startswith(each.models)
            and row.text("gpu").startswith(each.devices)
            and all(row.size(column) == size for column, size in each.sizes.items())
            and (not each.precisions or any(p in row.text("precision") for p in each.precisions))
        ):
            found |= each.options
    return found
