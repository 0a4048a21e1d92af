"""What is run to measure a machine: a transformer and its microbatches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend import Model, even_layers, tokens, transformer_stages
from sim.base.text import plural


@dataclass(frozen=True)
class Workload:
    """A transformer and its microbatches: large enough that passes take 5 ms and more on a CPU.

    layers: blocks in all, spread over the stages as evenly as they go.
    rows: sequences per microbatch.

    >>> print(Workload(layers=4, width=32))
    4 layers, width 32, heads 4, vocabulary 512, sequence 128, rows 1, float32
    """

    layers: int = 8
    width: int = 256
    heads: int = 4
    vocabulary: int = 512
    sequence: int = 128
    rows: int = 1
    device: str = "cpu"
    dtype: str = "float32"

    def __str__(self) -> str:
        names = ("width", "heads", "vocabulary", "sequence", "rows")
        told = ", ".join(f"{name} {getattr(self, name)}" for name in names)
        return f"{plural(self.layers, 'layer')}, {told}, {self.dtype}"

    def model(self, n_stages: int) -> Model:
        return Model(
            even_layers(self.layers, n_stages),
            width=self.width,
            heads=self.heads,
            vocabulary=self.vocabulary,
            sequence=self.sequence,
            dtype=getattr(torch, self.dtype),
        )

    def stages(self, n_stages: int) -> list[nn.Module]:
        """Fresh modules, made on the device: a GPU draws their weights in no time."""
        with torch.device(self.device):
            return transformer_stages(self.model(n_stages))

    def batch(self, n_microbatches: int, n_stages: int) -> tuple[Tensor, Tensor]:
        """Tokens and targets of so many microbatches."""
        rows = self.rows * n_microbatches
        return tokens(self.model(n_stages), n_rows=rows, device=self.device)
