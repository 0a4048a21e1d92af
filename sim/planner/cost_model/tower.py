"""What a tower for pictures costs the first stage: its layers over patches, and its projections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..models import Tower, tower_parameters
from .collectives import all_reduce
from .configuration import Configuration
from .flops import Matmul, Passes
from .groups import tensor_group
from .kernels import Bench
from .memory import Kept, activation
from .parameters import Held
from .passes import fused_saving, layer_spent, product_seconds
from .spent import Spent, added


def tower_spent(bench: Bench, tower: Tower) -> tuple[Spent, float]:
    """F, B and W of one microbatch's pictures, and what a fused backward saves of them. Pictures
    of a microbatch go through the tower together."""
    inner, share = _inner(bench, tower)
    found, saved = [_projected(inner, tower)], 0.0
    for kind, n in tower.encoder.kinds().items():
        found.append(layer_spent(inner, kind).times(n))
        saved += n * fused_saving(inner, kind)
    return added(tuple(found)).times(share), share * saved


def tower_activation(bench: Bench, tower: Tower) -> Kept:
    """Bytes one microbatch's pictures keep: of the layers, and what goes into and comes out of the
    projections."""
    inner, share = _inner(bench, tower)
    c = inner.configuration
    layers = [(activation(tower.encoder, c, kind), n) for kind, n in tower.encoder.kinds().items()]
    ends = sum(2.0 * c.tokens * (wide + out) / patches for wide, out, patches in tower.projections)
    return Kept(
        share * (ends + sum(kept.after_forward * n for kept, n in layers)),
        share * (ends + sum(kept.after_backward * n for kept, n in layers)),
        share * max(kept.scratch for kept, _ in layers),
    )


def held_by_tower(tower: Tower, configuration: Configuration) -> Held:
    """Its parameters on one device."""
    return Held(tower_parameters(tower) / _cut(tower, configuration), 0.0)


def _inner(bench: Bench, tower: Tower) -> tuple[Bench, float]:
    """The tower's layers as a bench of their own, with whole pictures, and the factor by which
    there are more of them or fewer on average."""
    c = bench.configuration
    wanted = tower.images * c.microbatch
    pictures = max(round(wanted), 1)
    tensor = _cut(tower, c)
    inside = replace(
        c, sequence=tower.patches, microbatch=pictures, batch=pictures * c.data, tensor=tensor,
        sequence_parallel=c.sequence_parallel and tensor > 1 and tower.patches % tensor == 0,
        expert=1, expert_tensor=0, context=1,
    )  # fmt: skip
    return replace(bench, model=tower.encoder, configuration=inside), wanted / pictures


def _cut(tower: Tower, c: Configuration) -> int:
    """Tensor parallelism cuts the tower where its heads can be shared out; otherwise every device
    of a group has all of it."""
    return c.tensor if tower.encoder.heads % c.tensor == 0 else 1


def _projected(inner: Bench, tower: Tower) -> Spent:
    """The projections, the wide ones cut as a pair: one all-reduce in F and in B."""
    c = inner.configuration
    once, weights = product_seconds(inner, tuple(_matmuls(tower, c)))
    words = 2.0 * c.tokens / tower.projections[-1].patches * tower.projections[-1].out
    there = all_reduce(words, tensor_group(c), machine=inner.machine, efficiency=inner.efficiency)
    return Spent(work=Passes(once, once, weights), tensor=Passes(there, there, 0.0))


def _matmuls(tower: Tower, c: Configuration) -> Iterator[Matmul]:
    for wide, out, patches in tower.projections:
        yield Matmul(max(c.tokens // patches, 1), wide, out, "out")
