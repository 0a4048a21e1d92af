"""What crosses the boundaries of stages: shapes per microbatch, found by torch's own inference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from .versions import require_attributes

Parts = tuple[Sequence[tuple[Any, ...]], Sequence[dict[str, Any]], Sequence[Any]]
"""Inputs, keywords and targets, each one per microbatch."""


ATTRIBUTES = "_has_backward _stages_forward_initialized _stages_backward_initialized"
"""What torch's runtime keeps of whether shapes are known already."""


def prepare_boundaries(
    runtime: Any,
    stages: Sequence[Any],
    batch: Parts,
    *,
    keys: Sequence[Hashable],
    known: dict[Hashable, list[Any]],
    training: bool,
) -> None:
    """Buffers for what crosses the boundaries of `stages`, each microbatch with its own shapes.

    keys: what decides the shapes of each microbatch, `(n_microbatches,)`, the same on every rank.
    known: what is known of a key; what is missing is found, and added, by torch's own inference: a
    forward and a backward of one microbatch through all stages.
    """
    for key in dict.fromkeys(keys):
        if key not in known:
            require_attributes(runtime, ATTRIBUTES)
            first = list(keys).index(key)
            runtime._has_backward = training
            runtime._stages_forward_initialized = runtime._stages_backward_initialized = False
            for stage in stages:
                require_attributes(stage, "_stage_meta")
                stage.has_backward = training
                stage._stage_meta = type(stage._stage_meta)()
            runtime._initialize_stages(*(part[first] for part in batch))
            known[key] = [stage._stage_meta for stage in stages]
    for number, stage in enumerate(stages):
        received, returned = {}, {}
        for microbatch, key in enumerate(keys):
            stage._stage_meta = known[key][number]
            stage._setup_forward_recv_info(1, training)
            received[microbatch] = stage.args_recv_info[0]
            if training:
                returned[microbatch] = stage._create_grad_recv_info(stage.act_send_info)
        stage.args_recv_info, stage.grad_recv_info = received, returned
        stage.grad_send_info, stage.chunks = None, len(keys)
        stage.metadata = [known[key][number] for key in keys]
