"""Why a model cannot be cut in a certain way, in one sentence with what could be."""

from __future__ import annotations

from ..models import Model, heads_of, nearest_divisor
from .adapters import adapter_refusal
from .configuration import Configuration


def refusal(model: Model, configuration: Configuration) -> str:
    """Why a model cannot be cut this way, with the nearest legal value; "" if it can."""
    c = configuration
    adapted = adapter_refusal(model.mtp_layers, c, tower=model.tower is not None)
    return (
        adapted or _layers(model, c) or _sequence(model, c) or _stages(model, c)
        or _experts(model, c)
    )  # fmt: skip


def _layers(model: Model, c: Configuration) -> str:
    if model.heads % c.tensor:
        return _misfit(f"{model.heads} heads", "tensor parallel size", c.tensor, model.heads)
    if model.kv_heads % c.tensor and c.tensor % model.kv_heads:
        return _misfit(
            f"{model.kv_heads} key-value heads", "tensor parallel size", c.tensor, model.kv_heads
        )
    for mixer in model.mixers:
        for what, count in heads_of(mixer):
            if count % c.tensor and c.tensor % count:
                return _misfit(f"{count} {what}", "tensor parallel size", c.tensor, count)
    if model.ffn % c.tensor:
        return _misfit(f"ffn width {model.ffn}", "tensor parallel size", c.tensor, model.ffn)
    if model.experts and model.experts.ffn % c.expert_cut:
        inner = model.experts.ffn
        return _misfit(f"expert width {inner}", "tensor parallel size", c.expert_cut, inner)
    return ""


def _sequence(model: Model, c: Configuration) -> str:
    if c.context > 1:
        pieces = 2 * c.context  # an early and a late one each, so that all have as much to attend
        if c.sequence % pieces:
            near = nearest_divisor(c.sequence, pieces)
            return (
                f"sequence {c.sequence} cannot be divided by twice the context parallel size "
                f"{c.context}: the nearest number of pieces that divides is {near}"
            )
        heads = model.kv_heads // min(c.tensor, model.kv_heads)
        if c.context_by == "all-to-all" and heads % c.context:
            return _misfit(f"{heads} key-value heads", "context parallel size", c.context, heads)
    own = c.sequence // c.context
    if c.sequence_parallel and own % c.tensor:
        return _misfit(f"sequence {own}", "tensor parallel size", c.tensor, own)
    per_step = c.data * c.microbatch
    if c.batch % per_step:
        near = max(round(c.batch / per_step), 1) * per_step
        return (
            f"batch {c.batch} is not divisible by data parallel size {c.data} times microbatch "
            f"{c.microbatch}: the nearest batch that is divisible is {near}"
        )
    return ""


def _stages(model: Model, c: Configuration) -> str:
    if c.frozen and (c.frozen >= model.layers or model.tied or c.vocabulary != "ends"):
        why = (
            f"{c.frozen} frozen layers leave none of {model.layers} to train"
            if c.frozen >= model.layers
            else "the embedding is frozen too, and the head shares or spreads it"
        )
        return (
            f"{why}: freeze fewer layers, or plan an untied model with its vocabulary at the ends"
        )
    if c.n_stages > model.layers + 2:
        return (
            f"{c.n_stages} stages are more than {model.layers} layers, embedding and head can "
            f"fill: use at most {model.layers + 2}"
        )
    return ""


def _experts(model: Model, c: Configuration) -> str:
    if c.capacity and not model.experts:
        return f"a capacity of {c.capacity:g} for a model without experts: leave it out"
    if c.expert > 1 and not model.experts:
        return f"expert parallel size {c.expert} for a model without experts: use 1"
    if model.experts and model.experts.count % c.expert:
        return _misfit(
            f"{model.experts.count} experts", "expert parallel size", c.expert, model.experts.count
        )
    if c.tensor % c.expert_cut:
        return _misfit(
            f"tensor parallel size {c.tensor}", "size within experts", c.expert_cut, c.tensor
        )
    room = c.per_stage // c.expert_cut
    if room % c.expert:
        if c.context == 1 and c.expert_cut == c.tensor:
            return _misfit(f"data parallel size {c.data}", "expert parallel size", c.expert, room)
        return _misfit(f"{room} devices of a stage", "expert parallel size", c.expert, room)
    return ""


def _misfit(whole: str, part: str, size: int, number: int) -> str:
    near = nearest_divisor(number, size)
    return f"{whole} cannot be divided by {part} {size}: the nearest size that divides is {near}"
