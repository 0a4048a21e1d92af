"""V-Half with the output layer cut along its vocabulary, a part on every device."""

from __future__ import annotations

from dataclasses import replace

from ..schedule.ir import Schedule
from .blocks.build import Block, schedule
from .family import Family
from .v_half import v_half_block
from .vocabulary import with_vocabulary


def vocab_v_half(n_devices: int, n_microbatches: int, *, barriers: int = 1) -> Schedule:
    """Vocabulary parallelism on V-Half: the block waits an interval more for each barrier.

    So there are 6 b more cells between the forward and the backward of the last stage, on device 0,
    b the barriers. At F=B=W and m >= 2p: peak floor((p+2)/2) + b shares on every device. The bubble
    has no closed form: where S and T take up to a quarter of a device's F, it is at most that of
    V-Half, whose memory is smaller. With unequal passes, or long S and T, it may grow with m.

    >>> print(vocab_v_half(2, 2))
    vocab-v-half: 2 devices, 4 stages, 2 microbatches; all devices share the vocabulary, 1 barrier
    device 0 | F0@0 F1@0 F0@3 S0@0 B0@3 F1@3 S1@0 T0@0 B1@3 B0@0 W0@3 B1@0 W1@3 W0@0 W1@0 T1@0
    device 1 | F0@1 F0@2 F1@1 S0@1 F1@2 B0@2 S1@1 T0@1 B0@1 B1@2 B1@1 W0@2 W0@1 W1@2 W1@1 T1@1

    Source: Yeung et al. 2024, arXiv 2411.05288, section 5 and appendix: their S and T have fixed
    places in the block, and the bubble is called unchanged.
    """
    limit = 2 * ((n_devices + 2) // 2 + barriers)
    block = vocab_v_half_block(n_devices, barriers)
    return with_vocabulary(schedule(block, n_microbatches, limit=limit), barriers)


def vocab_v_half_block(n_devices: int, barriers: int = 1) -> Block:
    """V-Half's block with all of its backward an interval later for each barrier."""
    block = v_half_block(n_devices)
    later = tuple(start + block.interval * barriers for start in block.offsets["B"])
    return replace(block, offsets={**block.offsets, "B": later}, name="vocab-v-half")


VOCAB_V_HALF = Family(
    "vocab-v-half",
    vocab_v_half,
    placement="V",
    passes="F B W S T",
    bubble="",
    peak="min((p+2)//2 + b, m)",
    exact_when="F == B == W and m >= 2*p",
    options=("barriers",),
    source="Yeung et al. 2024, arXiv 2411.05288, section 5",
)
