"""Seconds that devices spend exchanging parts of one sequence, and that attention does not hide.

Each of n devices holds an early and a late piece of the sequence, so that causal attention is as
much work on all of them: 1/n of it.

    ring        keys and values go round in n - 1 steps while the piece that is here is attended to
                (Liu et al. 2023, arXiv 2310.01889): a step takes the longer of both. Backwards the
                gradients of keys and values go round too: twice the bytes.
    all-to-all  devices exchange tokens for heads before attention and back after it, waiting
                (Jacobs et al. 2023, arXiv 2309.14509)
    all-gather  all keys and values are gathered first, and their gradients reduced in the end,
                waiting (Llama 3, arXiv 2407.21783, section 3.3.2)
"""

from __future__ import annotations

from typing import NamedTuple

from ..hardware import Machine, ring
from ..models import Model
from .collectives import all_gather, all_to_all
from .configuration import Configuration
from .efficiency import Efficiency
from .groups import context_group


class Exposed(NamedTuple):
    """Seconds added to attention in F and in B."""

    forward: float = 0.0
    backward: float = 0.0


def context_seconds(
    model: Model, configuration: Configuration, machine: Machine, *,
    efficiency: Efficiency, attention: tuple[float, float],
) -> Exposed:  # fmt: skip
    """What one layer waits for; `attention`: seconds of its kernels in F and in B on one device."""
    c = configuration
    if c.context == 1:
        return Exposed()
    group = context_group(c)
    shared = key_value_bytes(model, c)
    if c.context_by == "ring":
        wire = ring(machine, group)
        step = wire.latency + efficiency.collective + shared / (wire.bandwidth * efficiency.wire)
        doubled = step + shared / (wire.bandwidth * efficiency.wire)
        forward, backward = (each / c.context for each in attention)
        steps = c.context - 1
        return Exposed(steps * max(step - forward, 0.0), steps * max(doubled - backward, 0.0))
    if c.context_by == "all-gather":
        whole = all_gather(shared * c.context, group, machine=machine, efficiency=efficiency)
        return Exposed(whole, 2 * whole)  # gathered again, and gradients reduced
    queries = 2.0 * c.tokens * model.query_width / c.tensor
    out = 2.0 * c.tokens * model.value_width / c.tensor
    once = sum(
        all_to_all(size, group, machine=machine, efficiency=efficiency)
        for size in (queries + shared, out)
    )
    return Exposed(once, once)


def merged_bytes(model: Model, configuration: Configuration) -> float:
    """Memory traffic of putting partial results together: after each further step of a ring the
    32-bit sum is read and written, and the new part, 16 bits, read."""
    c = configuration
    if c.context_by != "ring":
        return 0.0
    return (c.context - 1) * 10.0 * c.tokens * model.value_width / c.tensor


def key_value_bytes(model: Model, configuration: Configuration) -> float:
    """Keys and values of one device's tokens in 16 bits; a device of more tensor-parallel ones than
    there are key-value heads holds a whole head."""
    c = configuration
    cut = c.tensor if model.latent else min(c.tensor, model.kv_heads)
    return 2.0 * c.tokens * model.key_value_width / cut
