"""Formulas of the papers, term by term, and properties that hold for every shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    activation,
    full_activation,
    layer_flops,
    layer_seconds,
    model_flops,
    parts,
    refusal,
    static,
)
from sim.planner.cost_model.parameters import Held
from sim.planner.hardware import machine_of
from sim.planner.models import MODELS, Model, parameters

GPT = Model("gpt", 4, 256, 8, 1000, gated=False, tied=True, biases=True, dropout=True)
LLAMA = Model("llama", 4, 256, 8, 1000, kv_heads=2, ffn=704)
shapes = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 64), st.integers(1, 4))


def _gpt(heads: int, width: int) -> Model:
    return Model("any", 2, heads * width, heads, 100, gated=False, dropout=True)


@given(shapes)
@settings(max_examples=50, deadline=None)
def test_flops_per_layer_are_the_papers(shape: tuple[int, int, int, int]) -> None:
    heads, width, s, b = shape
    h = heads * width
    assert layer_flops(_gpt(heads, width), s, b) == (
        s * b * h * (24 * h + 4 * s), s * b * h * (24 * h + 8 * s), 24 * s * b * h**2,
    )  # fmt: skip


@given(shapes)
@settings(max_examples=50, deadline=None)
def test_activation_bytes_per_layer_are_the_papers(shape: tuple[int, int, int, int]) -> None:
    a, width, s, b = shape
    h = a * width
    kept = activation(_gpt(a, width), Configuration(s, b, microbatch=b, attention="plain"))
    assert kept == (s * b * h * 34 + 5 * a * s * s * b, 32 * s * b * h, 0)


@pytest.mark.parametrize("t", [1, 2, 4, 8])
def test_tensor_and_sequence_parallel_activations_are_the_papers(t: int) -> None:
    s, b, h, a = 64, 2, GPT.hidden, GPT.heads
    plain = Configuration(s, b, microbatch=b, tensor=t, attention="plain")
    cut = replace(plain, sequence_parallel=True)
    assert full_activation(GPT, plain) == s * b * h * (10 + 24 / t + 5 * a * s / (h * t))
    assert full_activation(GPT, cut) == s * b * h / t * (34 + 5 * a * s / h)


def test_recompute_trades_memory_for_time() -> None:
    c = Configuration(128, 2, microbatch=2, attention="plain")
    machine = machine_of("1xa100-80g")
    kept, seconds = [], []
    for recompute in ("none", "selective", "full"):
        now = replace(c, recompute=recompute)
        kept.append(activation(GPT, now).after_forward)
        seconds.append(layer_seconds(Bench(GPT, now, machine, Efficiency(launch=0))))
    sbh = 128 * 2 * GPT.hidden
    assert kept == [34 * sbh + 5 * 8 * 128 * 256, 34 * sbh, 2 * sbh]
    assert seconds[0].backward < seconds[1].backward < seconds[2].backward
    assert seconds[0].forward == seconds[2].forward
    assert seconds[2].backward == pytest.approx(seconds[0].backward + seconds[0].forward)


def test_flash_attention_keeps_no_scores() -> None:
    long = Configuration(4096, 1, attention="plain")
    flash = replace(long, attention="flash")
    scores = full_activation(GPT, long) - full_activation(GPT, flash)
    assert scores == 5 * 8 * 4096**2 - 4 * 8 * 4096


def test_model_flops_are_about_six_per_parameter_and_token() -> None:
    model = MODELS["llama-3-70b"]
    per_token = model_flops(model, 1) / (parameters(model) - model.vocabulary * model.hidden)
    assert per_token == pytest.approx(6, rel=0.01)


@pytest.mark.parametrize(
    ("zero", "each"), [(0, 18.0), (1, 6 + 12 / 4), (2, 2 + 16 / 4), (3, 18 / 4)]
)
def test_zero_stages_share_out_optimizer_gradients_and_weights(zero: int, each: float) -> None:
    c = Configuration(1, 4, data=4, zero=zero)
    assert static(Held(1000, 0), c).total == 1000 * each


def test_experts_are_shared_out_over_expert_parallel_devices() -> None:
    c = Configuration(1, 8, data=8, expert=4, zero=1)
    assert static(Held(0, 1000), c).total == 1000 * (6 + 12 / 2)


def test_flash_attention_computed_again_takes_time() -> None:
    machine = machine_of("1xh100")
    none, again = (
        layer_seconds(Bench(LLAMA, Configuration(4096, 1, recompute=r), machine, Efficiency()))
        for r in ("none", "selective")
    )
    assert again.backward > none.backward
    assert again.forward == none.forward


# Seconds


@pytest.mark.parametrize("model", [GPT, LLAMA, MODELS["mixtral-8x7b"], MODELS["deepseek-v3"]])
def test_perfect_kernels_take_flops_over_peak(model: Model) -> None:
    ideal = Efficiency(
        matmul=1, fused_attention=1, memory=1, misaligned=1, grouped=1, ramp=0, launch=0, dispatch=0
    )
    machine = machine_of("1xh100")
    fast = replace(machine, device=replace(machine.device, bandwidth=1e30))
    kind = model.kind(model.layers - 1)
    c = Configuration(512, 1, attention="plain")
    flops = layer_flops(model, 512, kind=kind)
    found = layer_seconds(Bench(model, c, fast, ideal), kind)
    assert found == pytest.approx([each / 989.4e12 for each in flops], rel=1e-9)


@given(
    b=st.integers(1, 8), s=st.sampled_from([256, 1024, 4096]), t=st.sampled_from([1, 2, 4, 8]),
    model=st.sampled_from([GPT, LLAMA]), attention=st.sampled_from(["flash", "plain"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_more_tokens_never_take_less_time_and_no_pass_beats_the_peak(
    b: int, s: int, t: int, model: Model, attention: Any
) -> None:
    machine, e = machine_of("8xh100"), Efficiency()
    c = Configuration(s, 2 * b, microbatch=b, tensor=t, attention=attention)
    one = layer_seconds(Bench(model, c, machine, e))
    two = layer_seconds(Bench(model, replace(c, microbatch=2 * b), machine, e))
    assert all(more >= less for less, more in zip(one, two, strict=True))
    halved = 2 if attention == "flash" else 1  # causal kernels skip half of the scores
    for seconds, flops in zip(one, layer_flops(model, s, b), strict=True):
        assert seconds >= flops / t / 989.4e12 / halved


def test_a_width_that_tensor_cores_cannot_take_is_slower() -> None:
    c, machine, e = Configuration(1024, 4, microbatch=4), machine_of("1xa100-80g"), Efficiency()
    seconds = {}
    for vocabulary in (50257, 50264):
        model = replace(GPT, vocabulary=vocabulary)
        seconds[vocabulary] = parts(Bench(model, c, machine, e)).head.seconds.weight
    assert seconds[50257] > 1.5 * seconds[50264]


def test_a_window_shortens_attention_and_what_plain_attention_keeps() -> None:
    """Of 256 tokens a window of 64 leaves a quarter of the pairs; plain attention keeps 4 bytes per
    pair and head."""
    whole = Model("whole", 4, 64, 4, 100, gated=False)
    windowed = replace(whole, windows=(64, 0, 64, 0))
    near, far = windowed.kind(0), windowed.kind(1)
    attention = 2 * 2 * 256 * 64  # keys and values, two each, 256 queries, width 64
    assert layer_flops(whole, 256, kind=far).forward - layer_flops(
        whole, 256, kind=near
    ).forward == attention * (256 - 64)
    plain = Configuration(256, 4, attention="plain")
    kept = activation(windowed, plain, far).after_forward, activation(windowed, plain, near)
    assert kept[0] - kept[1].after_forward == 4 * 4 * 256 * (256 - 64)
    machine = machine_of("1xh100")
    for how in ("plain", "flash"):
        bench = Bench(
            windowed, replace(plain, attention=how), machine, Efficiency(launch=0, ramp=0)
        )
        assert layer_seconds(bench, near).forward < layer_seconds(bench, far).forward
        assert layer_seconds(bench, near).backward < layer_seconds(bench, far).backward
        assert layer_seconds(bench, near).weight == layer_seconds(bench, far).weight
        assert parts(bench).layers.keys() == {near, far}


def test_a_window_as_long_as_the_sequence_changes_nothing() -> None:
    whole = Model("whole", 4, 64, 4, 100, gated=False)
    windowed = replace(whole, windows=(256,) * 4)
    assert model_flops(windowed, 256) == model_flops(whole, 256)
    assert model_flops(windowed, 512) < model_flops(whole, 512)


# Refusals


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tensor": 3}, "32 heads cannot be divided by tensor parallel size 3: .* is 2"),
        ({"tensor": 16}, ""),
        ({"batch": 30, "data": 4}, "batch 30 is not divisible .* nearest batch that is .* 32"),
        ({"pipeline": 64}, "64 stages are more than 32 layers"),
        ({"expert": 2}, "expert parallel size 2 for a model without experts: use 1"),
        ({"tensor": 2, "sequence": 1023, "sequence_parallel": True}, "size that divides is 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_said_in_one_sentence(change: dict[str, Any], sentence: str) -> None:
    import re

    found = refusal(MODELS["llama-3-8b"], replace(Configuration(1024, 32), **change))
    assert re.search(sentence, found) if sentence else found == ""


def test_nonsense_configurations_are_refused_by_name() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tensor": 0}, "tensor is 0"), ({"recompute": "half"}, "use one of none, elementwise, "),
        ({"zero": 4}, "use stage 0, 1, 2 or 3"), ({"microbatch": True}, "microbatch is True"),
    ]  # fmt: skip
    for change, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            replace(Configuration(1024, 32), **change)
