"""One way to train a model on a machine: how it is cut, and what is kept or computed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..hardware import Group
from ..models import Model, heads_of, nearest_divisor

Recompute = Literal["none", "selective", "full"]
Attention = Literal["flash", "plain"]


@dataclass(frozen=True)
class Configuration:
    """Sizes of every kind of parallelism and the choices that change memory or work.

    sequence, batch: tokens of a sequence, sequences of one iteration on all devices together.
    microbatch: sequences of one microbatch. tensor, pipeline, data: sizes; their product is the
    number of devices; neighbours in the machine are tensor-parallel first, then data-parallel,
    then pipeline stages (Megatron's order). virtual: stages per device. expert: devices of a
    data-parallel group that share the experts. sequence_parallel: norms, dropout and residuals are
    cut along the sequence too. attention: "plain" keeps the scores, "flash" does not. recompute:
    "selective" computes the scores again, "full" the whole layer. zero: what data parallelism
    shares out: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too. schedule: the name
    of a family.
    """

    sequence: int
    batch: int
    microbatch: int = 1
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    virtual: int = 1
    expert: int = 1
    sequence_parallel: bool = False
    attention: Attention = "flash"
    recompute: Recompute = "none"
    zero: int = 1
    schedule: str = "1f1b"

    def __post_init__(self) -> None:
        for name in ("sequence", "batch", "microbatch", "tensor", "pipeline", "data", "virtual",
                     "expert"):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}: it must be a whole number >= 1")
        for name, choices in {"attention": Attention, "recompute": Recompute}.items():
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: use one of {', '.join(get_args(choices))}"
                )
        if self.zero not in (0, 1, 2, 3):
            raise ValueError(f"zero is {self.zero!r}: use stage 0, 1, 2 or 3")

    @property
    def n_devices(self) -> int:
        return self.tensor * self.pipeline * self.data

    @property
    def n_stages(self) -> int:
        return self.pipeline * self.virtual

    @property
    def n_microbatches(self) -> int:
        return self.batch // (self.data * self.microbatch)

    @property
    def tokens(self) -> int:
        """Tokens of one microbatch."""
        return self.sequence * self.microbatch


def tensor_group(configuration: Configuration) -> Group:
    """The devices that hold pieces of one layer."""
    return Group(configuration.tensor, 1)


def data_group(configuration: Configuration) -> Group:
    """The devices that hold the same piece for other sequences."""
    return Group(configuration.data, configuration.tensor)


def expert_group(configuration: Configuration) -> Group:
    """The devices that share the experts of a layer."""
    return Group(configuration.expert, configuration.tensor)


def refusal(model: Model, configuration: Configuration) -> str:
    """Why a model cannot be cut this way, with the nearest legal value; "" if it can."""
    c = configuration
    per_step = c.data * c.microbatch
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
    if model.experts and model.experts.ffn % c.tensor:
        inner = model.experts.ffn
        return _misfit(f"expert width {inner}", "tensor parallel size", c.tensor, inner)
    if c.sequence_parallel and c.sequence % c.tensor:
        return _misfit(f"sequence {c.sequence}", "tensor parallel size", c.tensor, c.sequence)
    if c.batch % per_step:
        near = max(round(c.batch / per_step), 1) * per_step
        return (
            f"batch {c.batch} is not divisible by data parallel size {c.data} times microbatch "
            f"{c.microbatch}: the nearest batch that is divisible is {near}"
        )
    if c.n_stages > model.layers + 2:
        return (
            f"{c.n_stages} stages are more than {model.layers} layers, embedding and head can "
            f"fill: use at most {model.layers + 2}"
        )
    if c.expert > 1 and not model.experts:
        return f"expert parallel size {c.expert} for a model without experts: use 1"
    if model.experts and model.experts.count % c.expert:
        return _misfit(
            f"{model.experts.count} experts", "expert parallel size", c.expert, model.experts.count
        )
    if c.data % c.expert:
        return _misfit(f"data parallel size {c.data}", "expert parallel size", c.expert, c.data)
    return ""


def _misfit(whole: str, part: str, size: int, number: int) -> str:
    near = nearest_divisor(number, size)
    return f"{whole} cannot be divided by {part} {size}: the nearest size that divides is {near}"
