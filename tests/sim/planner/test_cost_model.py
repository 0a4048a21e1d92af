"""Formulas of the papers, term by term, and properties that hold for every shape."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    activation,
    all_reduce,
    automatic_split,
    balanced_split,
    costs_of,
    efficiency_of,
    even_split,
    evened,
    full_activation,
    imbalance,
    layer_flops,
    layer_seconds,
    layout_text,
    model_flops,
    parse_layout,
    parts,
    read_profile,
    reduce_seconds,
    refusal,
    send_seconds,
    split_of,
    stages_of,
    static,
    write_profile,
)
from sim.planner.cost_model.communication import sharding_seconds
from sim.planner.cost_model.memory import Held
from sim.planner.hardware import (
    DEVICES,
    WIRES,
    Group,
    Machine,
    machine_of,
    read_machine,
    ring,
    wire_between,
)
from sim.planner.models import MODELS, Layer, Model, parameters

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


def test_sharded_gradients_and_weights_are_moved_in_every_pass_behind_the_work() -> None:
    held, efficiency, machine = Held(1000, 0), Efficiency(wire=1, collective=0), _machine()
    moved = [
        sharding_seconds(held, Configuration(1, 8, data=8, zero=z), machine, efficiency=efficiency)
        for z in range(4)
    ]
    hops = 7 * 5e-6
    once = 2 * 1000 * 7 / 8 / 450e9 + hops
    assert moved[0] == moved[1] == (0, 0, 0)
    assert moved[2] == (0, 0, pytest.approx(once))
    assert moved[3] == pytest.approx((once,) * 3)
    tails = [
        reduce_seconds(
            held, Configuration(1, 8, data=8, zero=z, data_overlap=False), machine,
            efficiency=efficiency,
        )
        for z in range(4)
    ]  # fmt: skip
    assert tails == pytest.approx([2 * once - hops, 2 * once, once, 0])
    slow = replace(machine, inside=WIRES["ethernet-25"])
    seconds = [
        parts(Bench(LLAMA, Configuration(512, 8, data=8, zero=z), slow, efficiency)).layers[Layer()]
        for z in (1, 2, 3)
    ]
    wait = 2 * seconds[0].held.total * 7 / 8 / 3.125e9 + 7 * 40e-6
    assert seconds[1].seconds.forward == seconds[0].seconds.forward < wait
    assert seconds[2].seconds == pytest.approx((wait,) * 3)
    assert [each.kept.scratch for each in seconds] == [
        0, 2 * seconds[0].held.total, 6 * seconds[0].held.total,
    ]  # fmt: skip


def test_flash_attention_computed_again_takes_time() -> None:
    machine = machine_of("1xh100")
    none, again = (
        layer_seconds(Bench(LLAMA, Configuration(4096, 1, recompute=r), machine, Efficiency()))
        for r in ("none", "selective")
    )
    assert again.backward > none.backward
    assert again.forward == none.forward


# Communication


def _machine(n: int = 16, per_node: int = 8) -> Machine:
    return Machine("m", DEVICES["h100"], n, per_node, WIRES["nvlink4"], WIRES["ndr"])


def test_a_ring_moves_two_times_n_minus_one_over_n() -> None:
    ideal = Efficiency(wire=1, collective=0)
    seconds = all_reduce(1e9, Group(4, 1), machine=_machine(), efficiency=ideal)
    # A tree of four is two hops high, up and down: four of 5 microseconds.
    assert seconds == pytest.approx(2 * 1e9 * 3 / 4 / 450e9 + 4 * 5e-6, rel=1e-12)
    assert all_reduce(1e9, Group(1, 1), machine=_machine(), efficiency=ideal) == 0


def test_a_ring_across_nodes_has_the_cards_of_its_members() -> None:
    assert ring(_machine(), Group(8, 1)) == WIRES["nvlink4"]
    assert ring(_machine(), Group(16, 1)).bandwidth == 8 * 50e9
    assert ring(_machine(), Group(2, 8)).bandwidth == 50e9
    assert wire_between(_machine(), 0, 7) == WIRES["nvlink4"]
    assert wire_between(_machine(), 7, 8) == WIRES["ndr"]


def test_racks_are_a_third_level() -> None:
    machine = replace(_machine(32), per_rack=16, across=WIRES["roce"])
    assert wire_between(machine, 0, 15) == WIRES["ndr"]
    assert wire_between(machine, 0, 16) == WIRES["roce"]
    with pytest.raises(ValueError, match="use a multiple of 8"):
        replace(machine, per_rack=12)


def test_a_send_costs_latency_and_bytes_and_nothing_on_the_same_device() -> None:
    c = Configuration(1024, 8, pipeline=2, data=8)
    ideal, machine = Efficiency(wire=1, collective=0), _machine()
    away: Any = {"efficiency": ideal, "source": 0, "destination": 1}
    assert send_seconds(GPT, c, machine, **away) == 10e-6 + 2 * 1024 * 256 / 50e9
    here = {**away, "destination": 0}
    assert send_seconds(GPT, c, machine, **here) == 0


WRITTEN = {
    "devices": 16, "per_node": 8, "inside": "nvlink4",
    "device": {"name": "mine", "flops": 1e15, "memory": 80e9, "bandwidth": 3e12},
    "between": {"bandwidth": 2.5e10, "latency": 1e-5},
}  # fmt: skip


def test_a_machine_without_a_preset_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(WRITTEN))
    found = read_machine(path)
    assert (found.name, found.n_nodes, found.device.flops) == ("16xmine", 2, 1e15)
    assert wire_between(found, 0, 8).bandwidth == 2.5e10
    assert read_machine(path, devices=8, inside="pcie4").inside == WIRES["pcie4"]
    path.write_text(json.dumps({"devices": 1, "device": "h100"}))
    assert read_machine(path).device == DEVICES["h100"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device": None}, "device in .*: give a preset's name, or flops, memory, bandwidth"),
        ({"device": "h9"}, "device in .* is 'h9': use one of a100-80g"),
        ({"device": {"flops": 0, "memory": 1, "bandwidth": 1}}, "flops of device in .* is 0"),
        ({"devices": "16"}, "n_devices of .* is '16': use a whole number"),
        ({"inside": 5}, "inside in .*: give a preset's name, or bandwidth, latency"),
        ({"nodes": 2}, "has no field 'nodes': fields are name, devices"),
        ({"per_rack": "z"}, "racks of z devices: use a multiple of 8"),
    ],
)
def test_a_file_that_describes_no_machine_is_refused(
    change: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(WRITTEN | change))
    with pytest.raises(ValueError, match=sentence):
        read_machine(path)
    for text, why in [("{", "is not JSON"), ("[]", "expected a JSON object"), ("{}", "lacks")]:
        path.write_text(text)
        with pytest.raises(ValueError, match=why):
            read_machine(path)


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


def test_what_a_profile_lacks_is_the_devices_and_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"matmul": 0.7}')
    found = read_profile(path, "h100")
    assert found == replace(efficiency_of("h100"), matmul=0.7, source=found.source)
    assert found.source.startswith(f"measured: {path}; fused_attention, memory, misaligned, ramp, ")
    assert f" from h100 ({efficiency_of('h100').source})" in found.source
    for nothing in ("{}", '{"source": "our nodes"}'):
        path.write_text(nothing)
        with pytest.raises(ValueError, match="has no number: give some of matmul, fused_attention"):
            read_profile(path, "h100")


def test_a_profile_is_written_and_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "profile.json"
    write_profile(path, Efficiency(matmul=0.7, source="a test"))
    assert read_profile(path) == Efficiency(matmul=0.7, source="a test")
    path.write_text('{"matmul": 0.7, "speed": 1}')
    with pytest.raises(ValueError, match="has no field 'speed': fields are matmul"):
        read_profile(path)
    for text, sentence in [
        ('{"matmul": "fast"}', "matmul is 'fast': it must be a number"),
        ('{"ramp": null}', "ramp is None: it must be a number"),
        ('{"launch": NaN}', "launch is nan: it must be finite"),
        ('{"wire": true}', "wire is True: it must be a number"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            read_profile(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not JSON: it is no text"):
        read_profile(path)
    with pytest.raises(ValueError, match=r"matmul is 1\.5: use a fraction"):
        Efficiency(matmul=1.5)


# Splits


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Et*3|(tt|)*2,tL", [3, 2, 2, 1]),
        ("E|t|t|L", [0, 1, 1, 0]),
        ("EttL", [2]),
        ("Et|(t*2|)*3tL", [1, 2, 2, 2, 1]),
        ("E t t | t t L", [2, 2]),
        ("Ettt|(tt|)*3m*2|L", [3, 2, 2, 2, 0, 0]),
        ("Et|tmL", [1, 1]),
    ],
)
def test_layout_strings_are_read(text: str, counts: list[int]) -> None:
    split = parse_layout(text)
    assert [part.layers for part in split.stages] == counts
    assert parse_layout(layout_text(split)) == split


def test_m_in_a_layout_string_is_a_prediction_layer() -> None:
    split = parse_layout("Ettt|(tt|)*3m*2|L")
    assert [part.predictions for part in split.stages] == [0, 0, 0, 0, 2, 0]
    assert split.predictions == 2
    assert layout_text(split) == "Et*3|(tt|)*3mm|L"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Etx|tL", "'x' at place 2 is none of"),
        ("Et|(tL", "a bracket is not closed"),
        ("Et)|tL", r"\) at place 2 closes no bracket"),
        ("tt|tL", "write one E first"),
        ("Etm|tL", "write one E first, then t's, then m's if there are any, and one L last"),
        ("Et|tm|mL", "prediction layers are on stages 1 and 2: they belong on one stage"),
        ("Et||tL", "stage 1 is empty"),
        ("*2EtL", r"\*2 at place 0 repeats nothing"),
    ],
)
def test_broken_layout_strings_are_refused_at_their_place(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_layout(text)


def test_the_papers_uneven_split_is_one_layer_less_at_the_ends() -> None:
    split = even_split(78, 20, first_less=1, last_less=1)
    assert [part.layers for part in split.stages] == [3, *[4] * 18, 3]
    with pytest.raises(ValueError, match="nearest number of layers that can is 80"):
        even_split(78, 20)


def _best_by_hand(n: int, stages: int, embedding: float, head: float) -> float:
    """Smallest possible slowest stage for n equal layers, by trying every count."""
    import itertools

    best = math.inf
    for cuts in itertools.product(range(n + 1), repeat=stages - 1):
        counts = [*cuts, n - sum(cuts)]
        if counts[-1] < 0 or any(count < 1 for count in counts[1:-1]):
            continue
        loads = [float(count) for count in counts]
        loads[0] += embedding
        loads[-1] += head
        best = min(best, max(loads))
    return best


@pytest.mark.parametrize("n", [3, 5, 7])
@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize(("embedding", "head"), [(0, 0), (0.1, 0.9), (0.5, 3), (2.2, 1.4)])
def test_the_balanced_split_is_the_best_there_is(
    n: int, stages: int, embedding: float, head: float
) -> None:
    split = balanced_split([1.0] * n, stages, embedding=embedding, head=head)
    loads = [float(part.layers) for part in split.stages]
    loads[0] += embedding
    loads[-1] += head
    assert split.n_layers == n
    assert max(loads) == pytest.approx(_best_by_hand(n, stages, embedding, head))


@pytest.mark.parametrize(
    ("layers", "stages", "embedding", "head", "counts"),
    [
        # Each stage takes what comes nearest to an even share of what is left.
        ([1] * 7, 3, 0, 0, [2, 2, 3]),
        ([1] * 7, 4, 2, 0.5, [0, 2, 3, 2]),  # (7 + 2.5) / 4 is 0.375 beyond the embedding
        ([1] * 7, 4, 0.5, 2.5, [2, 2, 3, 0]),
        ([3, 1, 1, 1, 1, 1, 1, 3], 3, 0, 0, [2, 4, 2]),
        ([3, 1, 1, 1, 1, 1, 1, 3], 4, 0, 0, [1, 3, 3, 1]),
    ],
)
def test_stages_below_the_slowest_are_even(
    layers: list[float], stages: int, embedding: float, head: float, counts: list[int]
) -> None:
    split = balanced_split(layers, stages, embedding=embedding, head=head)
    assert [part.layers for part in split.stages] == counts


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=40), st.integers(1, 12),
    st.floats(0, 20), st.floats(0, 20),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_balanced_split_holds_every_layer_once(layers, stages, embedding, head) -> None:  # type: ignore[no-untyped-def]
    if stages > len(layers):
        return
    split = balanced_split(layers, stages, embedding=embedding, head=head)
    assert split.n_layers == len(layers)
    assert len(split.stages) == stages
    assert parse_layout(layout_text(split)) == split


@given(
    st.integers(1, 30), st.sampled_from([2, 3, 4, 8]), st.floats(0, 3), st.floats(0, 3),
    st.sampled_from(["V", "loop"]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_evened_devices_differ_by_a_layer_at_most_unless_ends_are_larger(  # type: ignore[no-untyped-def]
    more, p, embedding, head, shape
) -> None:
    n = 2 * p + more
    back = range(p - 1, -1, -1) if shape == "V" else range(p)
    placement = [*range(p), *back]
    before = balanced_split([1.0] * n, 2 * p, embedding=embedding, head=head)
    after = evened(before, placement, layer=1, embedding=embedding, head=head)

    def loads(split):  # type: ignore[no-untyped-def]
        found = [0.0] * p
        for part, device in zip(split.stages, placement, strict=True):
            found[device] += part.layers + embedding * part.embedding + head * part.head
        return found

    assert after.n_layers == n
    assert max(loads(after)) <= max(loads(before)) + 1e-9
    assert max(loads(after)) - min(loads(after)) <= max(1, embedding + head) + 1e-9


def test_a_large_vocabulary_moves_layers_off_the_last_stage() -> None:
    bench = Bench(
        MODELS["llama-3-8b"], Configuration(8192, 8, pipeline=8), machine_of("8xh100"), Efficiency()
    )
    pieces = parts(bench)
    split = automatic_split(bench, pieces)
    even = even_split(32, 8)
    loads = {
        name: [stage.seconds.total for stage in stages_of(bench, each, pieces)]
        for name, each in {"auto": split, "even": even}.items()
    }
    assert split.stages[-1].layers < 4
    assert max(loads["auto"]) < max(loads["even"])
    assert imbalance(loads["auto"]) < imbalance(loads["even"])


def test_stage_costs_add_up_to_the_models() -> None:
    model, c = MODELS["llama-3-8b"], Configuration(4096, 8, pipeline=4, virtual=2)
    bench = Bench(model, c, machine_of("4xh100"), Efficiency())
    pieces = parts(bench)
    stages = stages_of(bench, automatic_split(bench, pieces), pieces)
    costs = costs_of(bench, stages, [0, 1, 2, 3, 3, 2, 1, 0])
    layer, ends = pieces.layers[Layer()].seconds, (pieces.embedding, pieces.head)
    assert sum(row[0] for row in costs.forward) == pytest.approx(
        32 * layer.forward + sum(end.seconds.forward for end in ends)
    )
    assert costs.send[3] == 0
    assert min(costs.send[:3]) > 0
    assert sum(stage.held.total for stage in stages) == parameters(model)
    with pytest.raises(ValueError, match="the split has 31 layers, but llama-3-8b has 32"):
        stages_of(bench, split_of([4] * 7 + [3]), pieces)


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


def test_machines_by_name() -> None:
    assert machine_of("64xh100").n_nodes == 8
    assert machine_of("h100", 64) == machine_of("64xh100")
    assert machine_of("a100-80g", 2).per_node == 2
    assert machine_of("4 x 2 x H100") == machine_of("8xh100", per_node=2)
    racks = machine_of("32xh100", per_rack=16, across="roce")
    assert wire_between(racks, 0, 16) == WIRES["roce"]
    with pytest.raises(ValueError, match="has nodes of 8, but nodes of 4 were asked for"):
        machine_of("2x8xh100", per_node=4)
    for wrong_rack in ({"per_rack": 16}, {"across": "roce"}, {"per_rack": -8, "across": "roce"}):
        with pytest.raises(ValueError, match="use a multiple of 8 and name the wire across"):
            machine_of("32xh100", **wrong_rack)
    for wrong, sentence in [
        (("h900", 8), "no cluster 'h900': use one of a100-80g"),
        (("8xa100", None), "no cluster '8xa100': did you mean a100-80g"),
        (("8xh100", 16), "has 8 devices, but 16 were asked for"),
        (("h100", None), "lacks a number of devices: write e.g. 8xh100"),
        (("h100", 12), "nearest number that does is 16"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            machine_of(*wrong)
    with pytest.raises(ValueError, match="no wire 'string': use one of nvlink3"):
        machine_of("8xh100", inside="string")


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
