"""Seq1F1B on real tensors: gradients of one plain backward, however the sequence is cut."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import sim  # noqa: E402
from backend.stages.reference import gradient_error, gradients_of, plain_backward  # noqa: E402
from backend.stages.transformer import Model, even_layers, tokens, transformer_stages  # noqa: E402
from backend.threads.run import run  # noqa: E402
from sim.planner.slices.costs import sequence_costs  # noqa: E402
from sim.planner.slices.cut import computation_wise, even  # noqa: E402

TOKENS = 48
SHAPE = sim.models.Model("small", 4, 16, 2, 17, gated=False)


@pytest.mark.parametrize("name", ["seq1f1b", "seq1f1b-zb", "seq1f1b-interleaved"])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("cut", [even, computation_wise, "very uneven"])
def test_any_cut_gives_the_gradients_of_the_whole_sequence(name: str, k: int, cut: Any) -> None:
    lengths = {
        even: even(TOKENS, k),
        computation_wise: computation_wise(SHAPE, TOKENS, k),
        "very uneven": (1,) * (k - 1) + (TOKENS - k + 1,),
    }[cut]
    schedule = sim.FAMILIES[name](2, 4, slices=k)
    layers = even_layers(schedule.n_stages, schedule.n_stages)
    model = Model(layers, width=16, heads=2, vocabulary=17, sequence=TOKENS, dtype=torch.float64)
    batch, targets = tokens(model, 4)
    stages = transformer_stages(model)
    result = run(schedule, stages, batch, targets=targets, slices=lengths, memory=0)
    plain = plain_backward(stages, batch, targets=targets)
    assert result.loss == pytest.approx(plain.loss, rel=1e-12)
    assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12


@pytest.mark.parametrize("lengths", [(24, 23), (48,), (48, 0), (16, 16, 16)])
def test_lengths_that_do_not_cut_the_sequence_are_refused(lengths: tuple[int, ...]) -> None:
    schedule = sim.FAMILIES["seq1f1b"](2, 4, slices=2)
    model = Model((1, 1), width=16, heads=2, vocabulary=17, sequence=TOKENS)
    batch, targets = tokens(model, 4)
    with pytest.raises(ValueError, match=r"slice lengths are .*: give 2 of at least 1 token"):
        run(schedule, transformer_stages(model), batch, targets=targets, slices=lengths)


@pytest.mark.parametrize("lengths", [(128, 128), (64,) * 4, (120, 80, 56)])
def test_the_engine_keeps_the_copies_of_keys_and_values_that_the_account_says(
    lengths: tuple[int, ...],
) -> None:
    shape = sim.models.Model("small", 4, 64, 4, 32, gated=False)
    model = Model((4,), width=64, heads=4, vocabulary=32, sequence=sum(lengths))
    batch, targets = tokens(model, 1)

    def peak(parts: tuple[int, ...]) -> int:
        schedule = sim.FAMILIES["seq1f1b"](1, 1, slices=len(parts))
        stages = transformer_stages(model)
        return run(schedule, stages, batch, targets=targets, slices=parts).peak_bytes[0]

    schedule = sim.FAMILIES["seq1f1b"](1, 1, slices=len(lengths))
    held = [
        sum(row[0] if len(row) == 1 else sum(row) for row in costs.activation_bytes)
        for costs in (
            sequence_costs(schedule, shape, lengths, cache=cache)
            for cache in ("concatenated", "shared")
        )
    ]
    copies = 2 * (held[0] - held[1])  # the account is in 16 bits, the engine runs in 32
    # Attention to earlier slices also keeps its mask, up to 32 bits per pair of tokens and layer.
    ends = [sum(lengths[: j + 1]) for j in range(len(lengths))]
    masks = 4 * 4 * sum(a * b for a, b in zip(lengths[1:], ends[1:], strict=True))
    extra = peak(lengths) - peak((sum(lengths),))
    assert copies <= extra <= copies + masks + 1024
