"""Muon (Jordan et al. 2024; at scale: Liu et al. 2025, arXiv 2502.16982): weight matrices of layers
are stepped along their momentum made orthogonal, all other weights as AdamW does.

A matrix has one 32-bit momentum where Adam has two moments. Its update goes through five steps of
Newton and Schulz, X <- aX + (bA + cA^2)X with A = XX', which for m x n, m the smaller, are
4 m^2 n + 2 m^3 operations each. Pieces of tensor parallelism are taken for matrices of their own,
as in Megatron-LM.
"""

from __future__ import annotations

from collections.abc import Iterable

from .configuration import Configuration
from .flops import Matmul

STEPS = 5
SAVED = 4
"""Bytes per parameter that Adam has more."""


def orthogonal_flops(products: Iterable[Matmul], configuration: Configuration) -> float:
    """Operations of one iteration for the matrices of a layer that a device steps: copies share
    them out where they share the optimizer's state."""
    c, found = configuration, 0.0
    if c.optimizer != "muon":
        return found
    for each in products:
        routed = each.copies > 1
        cut = (c.expert_cut if routed else c.tensor) if each.split else 1
        wide = each.wide / (cut if each.split == "wide" else 1)
        out = each.out / (cut if each.split == "out" else 1)
        less, more = min(wide, out), max(wide, out)
        copies = (c.expert_copies if routed else c.copies) if c.zero else 1
        here = max(each.copies / c.expert, 1) if routed else 1
        found += here * STEPS * (4 * less**2 * more + 2 * less**3) / copies
    return found
