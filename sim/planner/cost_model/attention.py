"""Work of attention: all scores written and read ("plain"), or kept on the chip ("flash")."""

from __future__ import annotations

from ..models import mixing
from ..models.mixing import Mixing
from ..models.shape import Layer
from .context import merged_bytes
from .flops import Passes, attention_flops, recurrence_flops
from .kernels import MISALIGNED, Bench, Work, moved

STATES = (12, 34)
"""Bytes in F and in B per number of the states between chunks. F writes each in 32 bits, a kernel
reads them, passes them on from chunk to chunk and writes them in 16 bits, and the scan reads those.
B makes them again (10), writes their gradients, passes these back beside the states (14), and reads
both in the kernels of inputs, B and C (10): the kernels of state-spaces/mamba, Dao and Gu 2024."""
SCANS = (6, 12)
"""Kernels of a recurrence in chunks, its convolution too, in F and in B."""
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
    scan = _scan_work(bench, kind, found)
    if not found.pair:
        return scan
    flops = attention_flops(model, c.sequence, c.microbatch, kind=kind)
    forward, backward = _softmax_work(bench, kind, flops, found.heads)
    return forward + scan[0], backward + scan[1]


def _scan_work(bench: Bench, kind: Layer, found: Mixing) -> tuple[Work, Work]:
    """A recurrence; where it goes by chunks, their states pass through memory."""
    c = bench.configuration
    flops = recurrence_flops(bench.model, c.tokens, kind)
    rate = bench.device.flops * bench.efficiency.fused_attention * c.tensor
    kernels = SCANS if found.states else (2, 3) if found.token else (0, 0)
    numbers = c.tokens * found.states / c.tensor
    return (
        Work(flops.forward / rate, kernels[0]) + moved(bench, STATES[0] * numbers, 0),
        Work(flops.backward / rate, kernels[1]) + moved(bench, STATES[1] * numbers, 0),
    )


def _softmax_work(bench: Bench, kind: Layer, flops: Passes, heads: int) -> tuple[Work, Work]:
    c, model, e = bench.configuration, bench.model, bench.efficiency
    cut = c.tensor * c.context
    if c.attention == "flash":
        width = model.query_width / model.heads
        padded = -(-width // PADDED) * PADDED / width
        rate = bench.device.flops * min(e.fused_attention, c.habits.attention)
        once = padded * flops.forward / 2 / cut / rate
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
