"""1F1B with the output layer cut along its vocabulary, a part on every device."""

from __future__ import annotations

from ..schedule.ir import Schedule
from .family import Family
from .one_f_one_b import alternating
from .vocabulary import with_vocabulary


def vocab_1f1b(n_devices: int, n_microbatches: int, *, barriers: int = 1) -> Schedule:
    """Vocabulary parallelism on 1F1B: one more forward in the warm-up for each barrier.

    With F = B = W, whatever S and T take, and p >= 2: bubble (p-1)(F+B+W) with two barriers and
    (p-1)(F+B+W) - T with one, on either clock: the last T runs while gradients go back. Where BW is
    not about twice F the order is not the right one, and devices wait for S of each other in every
    interval. Peak min(p+b, m) on device 0, b the barriers, and one less on each next device.

    >>> print(vocab_1f1b(3, 3))
    vocab-1f1b: 3 devices, 3 stages, 3 microbatches; all devices share the vocabulary, 1 barrier
    device 0 | F0 F1 F2 S0 T0 S1 T1 S2 BW0 T2 BW1 BW2
    device 1 | F0 F1 S0 F2 S1 T0 T1 BW0 S2 T2 BW1 BW2
    device 2 | F0 S0 F1 S1 T0 BW0 F2 S2 T1 BW1 BW2 T2

    Source: Yeung et al. 2024, arXiv 2411.05288, sections 4 and 5: p+1 and p+2 activations, bubble
    unchanged; how long S and T are is taken into their order, which here it is not. They cut the
    input embedding likewise, which here is part of the first stage.
    """
    schedule = Schedule(
        placement=tuple(range(n_devices)),
        orders=tuple(
            alternating(stage, n_microbatches, n_devices - stage - 1 + barriers)
            for stage in range(n_devices)
        ),
        n_microbatches=n_microbatches,
        name="vocab-1f1b",
    )
    return with_vocabulary(schedule, barriers)


VOCAB_1F1B = Family(
    "vocab-1f1b",
    vocab_1f1b,
    placement="straight",
    passes="F BW S T",
    bubble="(p-1)*(F+B+W)",
    peak="min(p+b, m)",
    exact_when="F == B == W",
    options=("barriers",),
    source="Yeung et al. 2024, arXiv 2411.05288, sections 4 and 5",
)
