"""What mixes the tokens of a layer where that is not the model's own attention: one class a kind.

`mixing.mixing` says what each of them multiplies, keeps and holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class LatentAttention:
    """Attention through low-rank latents (DeepSeek-V2, arXiv 2405.04434, section 2.1): the ranks of
    the query and key-value latents, and the widths per head of the plain part, the rotary part and
    the value. index_heads, index_width: an index that scores all tokens for each query, of which
    only the best are seen (DeepSeek-V3.2, arXiv 2512.02556, section 2.1); how many is the layer's
    window."""

    query_rank: int
    key_value_rank: int
    plain_width: int
    rotary_width: int
    value_width: int
    index_heads: int = 0
    index_width: int = 0


@dataclass(frozen=True)
class Attention:
    """Softmax attention of some layers with heads of their own. gated: as many gates as there are
    queries, from the same input (Qwen3-Next). one_key_value: one projection makes keys and values
    (Gemma 4). other: weights that multiply nothing, beside the block's norm."""

    heads: int
    kv_heads: int
    head_width: int
    gated: bool = False
    one_key_value: bool = False
    other: int = 0

    def __str__(self) -> str:
        return "gated attention" if self.gated else f"attention, heads of {self.head_width}"


@dataclass(frozen=True)
class DeltaNet:
    """A gated delta rule (Yang et al. 2024, arXiv 2412.06464) with a convolution before it: heads
    of keys (and queries) and of values, their widths, and the length of the convolution. rank:
    every number of a key has a decay of its own, and these and the gates come from so many numbers
    (Kimi Delta Attention, Kimi Team 2025, arXiv 2510.26692, section 3); 0: a decay per head."""

    key_heads: int
    value_heads: int
    key_width: int
    value_width: int
    convolution: int = 4
    rank: int = 0

    def __str__(self) -> str:
        return "Kimi delta attention" if self.rank else "gated delta net"


@dataclass(frozen=True)
class StateSpace:
    """Mamba-2 (Dao, Gu 2024, arXiv 2405.21060): heads, their width, the size of the state, groups
    that share its inputs and outputs, and the length of the convolution. normed: a gated norm
    stands before the output."""

    heads: int
    head_width: int
    state: int
    groups: int = 1
    convolution: int = 4
    normed: bool = True

    def __str__(self) -> str:
        return "Mamba-2"


@dataclass(frozen=True)
class SelectiveState:
    """Mamba (Gu, Dao 2023, arXiv 2312.00752): inner width, size of the state, rank of the step
    size, and the length of the convolution; Jamba norms the last three."""

    inner: int
    state: int
    rank: int
    convolution: int = 4

    def __str__(self) -> str:
        return "Mamba"


@dataclass(frozen=True)
class Lightning:
    """Linear attention with decay and an output gate (MiniMax 2025, arXiv 2501.08313, section
    2.2)."""

    heads: int
    head_width: int

    def __str__(self) -> str:
        return "lightning attention"


@dataclass(frozen=True)
class Convolution:
    """A gated short convolution (Liquid AI's LFM2): of so many tokens, as wide as the model."""

    length: int

    def __str__(self) -> str:
        return "short convolution"


@dataclass(frozen=True)
class Both:
    """Attention and Mamba-2 beside each other, with one norm and one sum (Falcon-H1, arXiv
    2507.22448, section 2)."""

    attention: Attention
    states: StateSpace

    def __str__(self) -> str:
        return "attention beside Mamba-2"


@dataclass(frozen=True)
class Nothing:
    """A layer that is a feed-forward block alone, as Nemotron-H counts layers."""


RECURRENT = (DeltaNet, StateSpace, SelectiveState, Lightning, Both)
"""Those with a state that is handed from token to token."""
Mixer: TypeAlias = (
    Attention | DeltaNet | StateSpace | SelectiveState | Lightning | Convolution | Both | Nothing
)
"""Attention without or with latents is what a `Model` itself says."""
