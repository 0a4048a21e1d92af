"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685): beside every product of attention and
of a plain or shared feed-forward block stands a pair of thin ones, and they alone are trained.

    x ──► wide x out, frozen ──────► +
      └─► wide x r ──► r x out ──► ──┘

F and B do the frozen product as before; W has the pair alone, so that of six operations per frozen
weight and token four are left. Routers and routed experts have none, embedding, head and norms are
frozen. A pair beside a product that is cut along its inputs needs a sum of r numbers per token,
which is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from .configuration import Configuration
from .flops import Matmul


def adapters(products: Iterable[Matmul], configuration: Configuration) -> tuple[Matmul, ...]:
    """The thin products beside those of a layer; none where all weights are trained."""
    r = configuration.lora
    if not r:
        return ()
    found = []
    for each in products:
        if each.copies == 1 and each.low:  # no routed expert, no router
            inputs, outputs = ("wide", "") if each.split == "wide" else ("", each.split)
            found.append(Matmul(each.rows, each.wide, r, inputs, low=False))
            found.append(Matmul(each.rows, r, each.out, outputs, low=False))
    return tuple(found)


def adapter_parameters(products: Iterable[Matmul], configuration: Configuration) -> float:
    """Weights of the pairs of one layer on one device."""
    return sum(
        each.wide * each.out / (configuration.tensor if each.split else 1)
        for each in adapters(products, configuration)
    )


def adapter_refusal(mtp_layers: int, configuration: Configuration, *, tower: bool) -> str:
    """What adapters are not planned together with; "" if nothing is in the way."""
    c = configuration
    for there, what in (
        (c.frozen, "frozen layers"),
        (c.vocabulary != "ends", "a vocabulary over all stages"),
        (mtp_layers, "layers that predict further tokens"),
        (tower, "a vision tower"),
    ):
        if c.lora and there:
            return f"adapters of rank {c.lora} are not planned together with {what}: leave one out"
    return ""
