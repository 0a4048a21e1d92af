"""Work of attention: all scores written and read ("plain"), or kept on the chip ("flash")."""

from __future__ import annotations

from ..models import mixing
from ..models.shape import Layer
from .context import merged_bytes
from .flops import Passes, attention_flops, recurrence_flops
from .kernels import MISALIGNED, Bench, Work, moved

PADDED = 32
"""Flash kernels take heads whose width is a multiple of 32; narrower ones are padded."""


def attention_work(bench: Bench, kind: Layer) -> tuple[Work, Work]:
    """F and B of one device's share, recurrences too, which run at the rate of flash attention,
    nothing of them masked. Kernels are taken to leave out what lies outside a window.

    plain: F writes the scores, scales and masks, takes the softmax, drops, reads them: 13 bytes per
    pair of tokens and head; B reads and writes gradients the same way: 17. Heads whose width is no
    multiple of eight are multiplied without tensor cores.
    flash: the causal half; the backward multiplies queries and keys once more: 5 products for 2.
    """
    c, model = bench.configuration, bench.model
    found = mixing(model, kind)
    states = recurrence_flops(model, c.tokens, kind)
    rate = bench.device.flops * bench.efficiency.fused_attention * c.tensor
    scan = (
        Work(states.forward / rate, 2 if found.token else 0),
        Work(states.backward / rate, 3 if found.token else 0),
    )
    if not found.pair:
        return scan
    flops = attention_flops(model, c.sequence, c.microbatch, kind=kind)
    forward, backward = _softmax_work(bench, kind, flops, found.heads)
    return forward + scan[0], backward + scan[1]


def _softmax_work(bench: Bench, kind: Layer, flops: Passes, heads: int) -> tuple[Work, Work]:
    c, model, e = bench.configuration, bench.model, bench.efficiency
    cut = c.tensor * c.context
    if c.attention == "flash":
        width = model.query_width / model.heads
        padded = -(-width // PADDED) * PADDED / width
        once = padded * flops.forward / 2 / cut / (bench.device.flops * e.fused_attention)
        steps = c.context if c.context_by == "ring" else 1
        merged = moved(bench, merged_bytes(model, c), steps - 1)
        return Work(once, steps) + merged, Work(2.5 * once, 2 * steps)
    rate = bench.device.flops * e.matmul
    if model.head_width % MISALIGNED and not model.latent:
        rate *= e.unaligned
    pairs = float(c.tokens) * kind.span(c.sequence) * heads / c.tensor
    drop = (4, 5) if model.dropout else (0, 0)
    return (
        Work(flops.forward / cut / rate, 2) + moved(bench, (9 + drop[0]) * pairs, 2),
        Work(flops.backward / cut / rate, 4) + moved(bench, (12 + drop[1]) * pairs, 2),
    )
