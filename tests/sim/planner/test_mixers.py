"""Layers that mix tokens otherwise than by the model's own attention: weights, work and bytes.

The model is 64 wide with a feed-forward block of 128, so that a layer has, beside its mixer, two
norms of 64 and 3 x 64 x 128 weights.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

import sim
from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    activation,
    layer_flops,
    layer_seconds,
    refusal,
)
from sim.planner.cost_model.parameters import held_parameters
from sim.planner.hardware import machine_of
from sim.planner.models import (
    Attention,
    Both,
    Convolution,
    DeltaNet,
    Experts,
    LatentAttention,
    Lightning,
    Mixer,
    Model,
    Nothing,
    SelectiveState,
    StateSpace,
    active_parameters,
    layer_parameters,
    mixing,
    model_from_config,
    parameters,
)
from sim.planner.slices.costs import sequence_costs
from sim.planner.slices.cut import attention_flops

REST = 3 * 64 * 128
GATED = Attention(4, 2, 16, gated=True, other=32)
SHARED = Attention(4, 1, 32, one_key_value=True)
DELTA = DeltaNet(2, 4, 8, 16)
MAMBA2 = StateSpace(8, 16, 32, groups=2)
MAMBA = SelectiveState(128, 16, 4)
LIGHTNING = Lightning(4, 16)
SHORT = Convolution(3)
BOTH = Both(Attention(4, 2, 16), MAMBA2)

WEIGHTS: dict[str, tuple[Mixer, int, int, int]] = {
    # Weights that multiply; others; FLOPs per token and forward beside weights at 256 tokens.
    # Queries and gates of 4 x 16, keys and values of 2 x 16; two norms of 16; 64 pairs twice.
    "gated attention": (GATED, 64 * (2 * 64 + 2 * 32) + 64 * 64, 32, 4 * 64 * 256),
    # Queries of 4 x 32, one matrix for keys and values of 32.
    "shared": (SHARED, 64 * (128 + 32) + 128 * 64, 0, 4 * 128 * 256),
    # Keys 2 x 8, values 4 x 16: q, k, v, gate; a step and a decay per value head; the convolution
    # of 4 over q, k and v; four products with the 8 x 16 state of each of 4 heads.
    "delta": (DELTA, 64 * (16 + 16 + 64 + 64 + 8) + 64 * 64, 4 * 96 + 2 * 4 + 16,
              2 * 4 * 96 + 8 * 4 * 8 * 16),
    # Two heads of 16: q, k, v and a step per head; decays and gates from 16 numbers each, a decay
    # for every number of a key.
    "Kimi": (DeltaNet(2, 2, 16, 16, rank=16),
             64 * (3 * 32 + 2) + 64 * 2 * 16 + 16 * 32 + 16 * 32 + 32 * 64, 4 * 96 + 2 + 32 + 16,
             2 * 4 * 96 + 8 * 2 * 16 * 16),
    # Inner width 128, two groups of states of 32: z, x, B, C and a step per head; the convolution
    # with biases over x, B, C; three numbers per head; a norm. Seven per number of the state.
    "Mamba-2": (MAMBA2, 64 * (128 + 128 + 2 * 2 * 32 + 8) + 128 * 64, 5 * 256 + 3 * 8 + 128,
                7 * 128 * 32),
    # x and z of 128; step size of rank 4 and states of 16 from x; the step size of each.
    "Mamba": (MAMBA, 64 * 256 + 128 * 36 + 4 * 128 + 128 * 64, 5 * 128 + 18 * 128 + 36,
              7 * 128 * 16),
    "lightning": (LIGHTNING, 64 * 4 * 64 + 64 * 64, 64, 4 * 64 * 16),
    "convolution": (SHORT, 64 * 3 * 64 + 64 * 64, 3 * 64, 8 * 64),
    "both": (BOTH, 64 * (64 + 64) + 64 * 64 + 64 * (128 + 128 + 128 + 8) + 128 * 64,
             5 * 256 + 3 * 8 + 128, 4 * 64 * 256 + 7 * 128 * 32),
}  # fmt: skip


def _model(mixer: Mixer, **more: object) -> Model:
    return replace(Model("mixed", 2, 64, 4, 100, ffn=128), mixers=(mixer,), mixing=(0, 1), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_mixers_weights_and_work_are_those_counted_by_hand(name: str) -> None:
    mixer, multiplied, others, beside = WEIGHTS[name]
    model = _model(mixer)
    kind = model.kind(1)
    assert layer_parameters(model, kind) == multiplied + others + 2 * 64 + REST
    assert parameters(model) == (
        layer_parameters(model) + layer_parameters(model, kind) + 2 * 100 * 64 + 64
    )
    once, tokens = 2 * (multiplied + REST), 2 * 256
    assert layer_flops(model, 256, 2, kind=kind) == (
        tokens * (once + beside), tokens * (once + 2 * beside), tokens * once,
    )  # fmt: skip


KEPT: dict[str, tuple[Mixer, int, int]] = {
    # Numbers per token kept for the whole backward, and for W alone, besides inputs of blocks.
    "gated attention": (GATED, 2 * 64 + 2 * 32 + 2 * 64, 2 * 64 + 2 * 32 + 64),
    "shared": (SHARED, 128 + 2 * 32 + 128, 128 + 32 + 128),
    "delta": (DELTA, 168 + 96 + 2 * 64 + 64 * 4, 168 + 64),
    "Mamba-2": (MAMBA2, 392 + 128, 392 + 128),
    "lightning": (LIGHTNING, 6 * 64, 5 * 64),
    # What the first projection makes, the product with its gate, and the second one's input.
    "convolution": (SHORT, 3 * 64 + 64 + 64, 3 * 64 + 64),
    # What the input projection makes and the inputs of three others; with those, less the scan's.
    "Mamba": (MAMBA, 4 * 128 + 36, 5 * 128 + 36),
    "both": (BOTH, 64 + 64 + 64 + 392 + 128, 128 + 64 + 392 + 128),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_mixer_keeps_is_counted_by_hand(name: str) -> None:
    """Two bytes per number; of the rest of a layer the inputs of two norms and of what follows
    them, 4 x 64, and 3 x 128 of the gated block; for W inputs and gradients of outputs."""
    mixer, kept, pending = KEPT[name]
    model, c = _model(mixer), Configuration(32, 2, microbatch=2)
    scores = 4 * 4 if isinstance(mixer, (Attention, Both)) else 0  # one 32-bit number per head
    found = activation(model, c, model.kind(1))
    assert found.after_forward == 64 * (2 * (4 * 64 + 3 * 128 + kept) + scores)
    assert found.after_backward == 64 * 2 * (4 * 64 + 3 * 128 + pending)
    half = activation(model, replace(c, tensor=2, sequence_parallel=True), model.kind(1))
    assert half.after_forward == found.after_forward / 2


MOVED: dict[str, tuple[Mixer, int]] = {
    # Queries, keys, values and gates; of states what the input projection makes and what the
    # convolution passes over; inputs, gates, step sizes and outputs of Mamba.
    "gated attention": (GATED, 64 + 2 * 32 + 64), "shared": (SHARED, 128 + 2 * 32),
    "delta": (DELTA, 168 + 96), "Mamba-2": (MAMBA2, 392 + 256), "Mamba": (MAMBA, 4 * 128),
    "lightning": (LIGHTNING, 4 * 64), "convolution": (SHORT, 4 * 64),
    "both": (BOTH, 64 + 2 * 32 + 392 + 256),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_how_wide_what_elementwise_kernels_pass_over_is(name: str) -> None:
    mixer, wide = MOVED[name]
    found = mixing(_model(mixer), _model(mixer).kind(1))
    assert found.moved == wide
    keys = {"gated attention": 2 * 32, "both": 2 * 32, "shared": 2 * 32}
    assert found.key_values == keys.get(name, 0)


def test_a_layer_may_be_one_block_alone() -> None:
    model = _model(Nothing(), bare=(0,))
    mixes, feeds = model.kind(0), model.kind(1)
    assert (mixes.blocks, feeds.blocks) == (1, 1)
    assert layer_parameters(model, mixes) == 4 * 64 * 64 + 64
    assert layer_parameters(model, feeds) == REST + 64
    whole = layer_flops(Model("whole", 1, 64, 4, 100, ffn=128), 256)
    halves = [layer_flops(model, 256, kind=kind) for kind in (mixes, feeds)]
    assert tuple(a + b for a, b in zip(*halves, strict=True)) == whole
    c = Configuration(256, 8, tensor=2)
    plain = activation(Model("whole", 1, 64, 4, 100, ffn=128), c)
    parts = [activation(model, c, kind) for kind in (mixes, feeds)]
    assert sum(part.after_forward for part in parts) == plain.after_forward
    assert sum(part.after_backward for part in parts) == plain.after_backward


def test_two_blocks_apart_take_as_long_as_together() -> None:
    model, e = _model(Nothing(), bare=(0,)), Efficiency(launch=0)
    c, machine = Configuration(256, 8, tensor=2), machine_of("8xh100")
    whole = layer_seconds(Bench(Model("whole", 1, 64, 4, 100, ffn=128), c, machine, e))
    parts = [layer_seconds(Bench(model, c, machine, e), model.kind(i)) for i in (0, 1)]
    for both, together in zip(zip(*parts, strict=True), whole, strict=True):
        assert sum(both) == pytest.approx(together)


def test_recurrences_do_not_grow_with_the_sequence() -> None:
    model, e = _model(MAMBA2), Efficiency(launch=0, ramp=0)
    machine, kind = machine_of("1xh100"), model.kind(1)
    short, long = (
        layer_seconds(Bench(model, Configuration(s, 8), machine, e), kind) for s in (4096, 8192)
    )
    assert long.forward == pytest.approx(2 * short.forward, rel=1e-2)
    softmax = [layer_seconds(Bench(model, Configuration(s, 8), machine, e)) for s in (4096, 8192)]
    assert softmax[1].forward > 2.5 * softmax[0].forward


def test_an_index_meets_all_tokens_and_attention_the_chosen_ones() -> None:
    """The index: 4 heads of 8 from the query latent, a key of 8 and 4 weights from the input, and
    one norm with a bias; queries and keys of 4 x 16, values of 4 x 16."""
    latent = LatentAttention(24, 16, 8, 8, 16)
    model = Model("sparse", 2, 64, 4, 100, ffn=128, latent=latent, windows=(32, 32))
    chosen = replace(model, latent=replace(latent, index_heads=4, index_width=8))
    more = 24 * 32 + 64 * (8 + 4) + 2 * 8
    assert layer_parameters(chosen) - layer_parameters(model) == more
    assert (
        layer_flops(chosen, 256, kind=chosen.kind(0)).forward
        - layer_flops(model, 256, kind=model.kind(0)).forward
    ) == 2 * 256 * (24 * 32 + 64 * 12) + 2 * 256 * 256 * 4 * 8
    attention = layer_flops(model, 256, kind=model.kind(0)).forward
    attention -= layer_flops(model, 256, kind=model.kind(0)).weight
    assert attention == 2 * 256 * 32 * (64 + 64)


def test_kinds_say_what_mixes_their_tokens() -> None:
    model = _model(DELTA, windows=(8, 0))
    assert [str(model.kind(i)) for i in (0, 1)] == ["dense, window 8", "dense, gated delta net"]
    assert str(_model(Nothing(), bare=(0,)).kind(0)) == "attention alone"
    assert str(_model(Nothing()).kind(1)) == "dense alone"
    assert str(_model(MAMBA2, bare=(1,)).kind(1)) == "Mamba-2 alone"


def test_heads_that_tensor_parallelism_cannot_share_out_are_refused() -> None:
    c = Configuration(64, 8, tensor=4)
    assert refusal(_model(DELTA), replace(c, tensor=2)) == ""
    assert refusal(_model(DeltaNet(3, 6, 8, 16)), c).startswith("3 key heads cannot be divided by")
    assert "2 Mamba groups" not in refusal(_model(MAMBA2), c)  # two devices hold the same group


def test_which_mixer_a_layer_has_is_checked() -> None:
    model = _model(DELTA)
    with pytest.raises(ValueError, match="1 mixers for 2 layers: give one number per layer"):
        replace(model, mixing=(1,))
    with pytest.raises(ValueError, match="mixer of layer 1 is 2: there are 1, and 0 is"):
        replace(model, mixing=(0, 2))


def test_slices_of_a_recurrence_are_all_the_same_work() -> None:
    """And they keep no keys and values."""
    states = replace(_model(MAMBA2), mixing=(1, 1))
    first, last = attention_flops(states, 32, 32), attention_flops(states, 32, 64)
    assert first == last == Fraction(2 * 32 * 7 * 128 * 32)
    schedule = sim.FAMILIES["seq1f1b"](2, 2, slices=2)
    costs = sequence_costs(schedule, states, (32, 32))
    assert len({*costs.activation_bytes[0]}) == 1


def test_experts_may_see_tokens_through_a_narrower_latent() -> None:
    """Eight experts of 32 inside, two per token and one shared; tokens are 16 wide for the routed
    ones, between two projections."""
    plain = Model("plain", 1, 64, 4, 100, experts=Experts(8, 2, 32, shared=1))
    narrow = replace(plain, experts=Experts(8, 2, 32, shared=1, latent=16))
    kind = narrow.kind(0)
    less = 8 * 3 * (64 - 16) * 32 - 2 * 64 * 16
    assert layer_parameters(plain, kind) - layer_parameters(narrow, kind) == less
    idle = parameters(narrow) - active_parameters(narrow)
    assert idle == 6 * 3 * 16 * 32
    work = [layer_flops(each, 256, kind=kind).weight for each in (plain, narrow)]
    assert work[0] - work[1] == 2 * 256 * (2 * 3 * (64 - 16) * 32 - 2 * 64 * 16)
    # Two copies of the input, 64 wide, become 16 wide; an input of 64 and one of 16 come beside.
    c = Configuration(256, 1)
    kept = [activation(each, c, kind) for each in (plain, narrow)]
    assert kept[0].after_forward - kept[1].after_forward == 2 * 256 * (2 * 48 - 64 - 16)
    assert kept[0].after_backward - kept[1].after_backward == 2 * 2 * 256 * (2 * 48 - 64 - 16)
    held = held_parameters(narrow, Configuration(256, 8, data=4, expert=4), kind)
    assert held.experts == 8 * 3 * 16 * 32 / 4
    assert held.common + 4 * held.experts == layer_parameters(narrow, kind)


def test_delta_layers_of_files_that_leave_their_shape_out() -> None:
    """Defaults of the configuration classes of Kimi Linear and Qwen3-Next."""
    shape = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4,
             "intermediate_size": 128, "vocab_size": 100}  # fmt: skip
    kimi = model_from_config(
        {**shape, "model_type": "kimi_linear", "layer_types": ["linear_attention"] * 4}
    )
    assert kimi.mixers == (DeltaNet(32, 32, 128, 128, 4, rank=128),)
    assert kimi.mixing == (1, 1, 1, 1)
    qwen = model_from_config({**shape, "model_type": "qwen3_next"})
    assert qwen.mixers[0] == DeltaNet(16, 32, 128, 128, 4)
    assert qwen.mixing == (1, 1, 1, 2)
