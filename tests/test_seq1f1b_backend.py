"""Seq1F1B on real tensors: gradients of one plain backward, however the sequence is cut."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import sim  # noqa: E402
from backend.local import run  # noqa: E402
from backend.plain import gradient_error, gradients_of, plain_backward  # noqa: E402
from backend.transformer import Model, even_layers, tokens, transformer_stages  # noqa: E402
from sim.partition import computation_wise, even  # noqa: E402

TOKENS = 48
SHAPE = sim.models.Model("small", 4, 16, 2, 17, gated=False)


@pytest.mark.parametrize("name", ["seq1f1b", "seq1f1b-zb", "seq1f1b-interleaved"])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("cut", [even, computation_wise, "very uneven"])
def test_any_cut_gives_the_gradients_of_the_whole_sequence(name: str, k: int, cut: object) -> None:
    lengths = {
        even: even(TOKENS, k),
        computation_wise: computation_wise(SHAPE, TOKENS, k),
        "very uneven": (1,) * (k - 1) + (TOKENS - k + 1,),
    }[cut]  # type: ignore[index]
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
