"""One way to train a model on a machine: how it is cut, and what is kept or computed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...base.numbers import checked
from .programs import PROGRAMS, Program

Recompute = Literal["none", "elementwise", "selective", "experts", "full"]
Attention = Literal["flash", "plain"]
ContextBy = Literal["ring", "all-to-all", "all-gather"]
Precision = Literal["bf16", "fp8", "mxfp8", "nvfp4"]
Vocabulary = Literal["ends", "vocab-1", "vocab-2", "interlaced"]
TensorOverlap = Literal["none", "weights", "all"]
Optimizer = Literal["adam", "muon"]

_CHOICES = {
    "attention": Attention,
    "recompute": Recompute,
    "context_by": ContextBy,
    "precision": Precision,
    "vocabulary": Vocabulary,
    "tensor_overlap": TensorOverlap,
    "optimizer": Optimizer,
}
_SIZES = ("sequence", "batch", "microbatch", "tensor", "pipeline", "data", "virtual", "expert",
          "context")  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """Sizes of every kind of parallelism and the choices that change memory or work.

    sequence, batch: tokens of a sequence, sequences of one iteration on all devices together.
    microbatch: sequences of one microbatch. tensor, context, pipeline, data: sizes; their product
    is the number of devices; neighbours in the machine are tensor-parallel first, then share a
    sequence (context), then are data-parallel, then pipeline stages (Megatron's order). virtual:
    stages per device. expert: devices that share the experts of a layer. expert_tensor: devices
    that share one expert; 0 stands for as many as `tensor`. sequence_parallel: norms, dropout and
    residuals are cut along the sequence too. attention: "plain" keeps the scores, "flash" does not.
    recompute: "elementwise" computes norms and activation functions again, "selective" the scores,
    "experts" whole blocks of experts, "full" the whole layer; recompute_layers: in so many layers
    of each stage, 0 for all. zero: what data parallelism shares out: 0 nothing, 1 optimizer state,
    2 gradients too, 3 weights too. schedule: the name of a family.

    context_by: how a sequence that several devices share attends to all of itself (see
    `context.py`). precision: of the multiplications by weights in layers. vocabulary: where
    embedding and head are: at the "ends", or cut along the vocabulary over all stages (see
    `vocabulary.py`). tensor_overlap: which collectives of tensor parallelism run beside
    multiplications: "none"; those of B beside the "weights"' gradients, where B and W are one pass;
    "all", in pieces, beside the multiplications that need or make them. data_overlap: gradients are
    reduced while the last microbatch's backward makes them, and weights gathered while the first
    forward runs. frozen: so many layers, the first ones, and with them the embedding, are not
    trained: they run F alone, keep nothing for a backward and have weights only. lora: the rank of
    adapters that are trained in place of all weights, 0 for none (see `adapters.py`). optimizer: of
    weight matrices (see `muon.py`). capacity: experts take so many times their even share of
    tokens, filled up to it, and drop what is beyond; 0: all that are sent to them. offloaded: what
    so many layers of each stage keep for the backward waits in the host's memory; copies are taken
    to run beside passes and to take no longer. program: whose habits kernels, sends and gradients
    follow, a name of `programs.PROGRAMS`.
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
    context: int = 1
    context_by: ContextBy = "ring"
    precision: Precision = "bf16"
    vocabulary: Vocabulary = "ends"
    expert_tensor: int = 0
    recompute_layers: int = 0
    tensor_overlap: TensorOverlap = "weights"
    data_overlap: bool = True
    frozen: int = 0
    lora: int = 0
    optimizer: Optimizer = "adam"
    capacity: float = 0.0
    offloaded: int = 0
    program: str = "megatron"

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}: it must be a whole number >= 1")
        for name in ("expert_tensor", "recompute_layers", "frozen", "lora", "offloaded"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!r}: it must be a whole number >= 0")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: use one of {', '.join(get_args(choices))}"
                )
        if checked(self.capacity, "capacity") > 100:
            raise ValueError(f"capacity is {self.capacity}: use 0, or about 1 to 2 even shares")
        if self.program not in PROGRAMS:
            raise ValueError(f"program is {self.program!r}: use one of {', '.join(PROGRAMS)}")
        if self.zero not in (0, 1, 2, 3):
            raise ValueError(f"zero is {self.zero!r}: use stage 0, 1, 2 or 3")

    @property
    def habits(self) -> Program:
        return PROGRAMS[self.program]

    @property
    def n_devices(self) -> int:
        return self.tensor * self.context * self.pipeline * self.data

    @property
    def per_stage(self) -> int:
        """Devices that hold one pipeline position: what a step to the next one is in the machine's
        numbers."""
        return self.tensor * self.context * self.data

    @property
    def n_stages(self) -> int:
        return self.pipeline * self.virtual

    @property
    def n_microbatches(self) -> int:
        return self.batch // (self.data * self.microbatch)

    @property
    def tokens(self) -> int:
        """Tokens of one microbatch on one device."""
        return self.sequence * self.microbatch // self.context

    @property
    def copies(self) -> int:
        """Devices that hold the same weights: data-parallel ones, and those that share
        sequences."""
        return self.data * self.context

    @property
    def expert_cut(self) -> int:
        """Devices that share one expert."""
        return self.expert_tensor or self.tensor

    @property
    def expert_copies(self) -> int:
        """Devices that hold the same experts."""
        return self.per_stage // (self.expert * self.expert_cut)

    @property
    def taken(self) -> float:
        """Tokens that experts multiply, over those that are sent to them."""
        return self.capacity or 1.0

    @property
    def token_cut(self) -> int:
        """Into how many pieces norms and residuals are cut along the sequence."""
        return self.tensor if self.sequence_parallel else 1
