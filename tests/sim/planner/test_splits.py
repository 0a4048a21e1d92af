"""Which stage holds which layers: layout strings, balanced and even splits, costs of stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, combinations_with_replacement, pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.planner.cost_model import (
    Bench,
    Configuration,
    Efficiency,
    automatic_split,
    balanced_split,
    costs_of,
    even_split,
    evened,
    imbalance,
    layout_text,
    parse_layout,
    parts,
    split_of,
    stages_of,
)
from sim.planner.hardware import machine_of
from sim.planner.models import MODELS, Layer, parameters


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
        ([2], 3, 1, 1, [0, 1, 0]),  # the ends go without a layer
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


@pytest.mark.parametrize("n_stages", [2, 3, 4])
def test_no_split_of_unequal_layers_is_faster(n_stages: int) -> None:
    """Against all ways to cut four layers; only stages with an end may do without one."""
    for layers in product((1.0, 4.0, 9.0), repeat=4):
        for embedding, head in ((0.0, 0.0), (0.0, 6.0), (5.0, 2.0)):
            loads = [
                _slowest(layers, (0, *cuts, 4), embedding, head)
                for cuts in combinations_with_replacement(range(5), n_stages - 1)
                if all(a < b for a, b in pairwise(cuts))
            ]
            found = balanced_split(layers, n_stages, embedding=embedding, head=head)
            counts = [part.layers for part in found.stages]
            assert min(loads) == _slowest(layers, (0, *accumulate(counts)), embedding, head)


def _slowest(layers: Sequence[float], cuts: Sequence[int], embedding: float, head: float) -> float:
    ends = [embedding, *[0.0] * (len(cuts) - 3), head]
    return max(sum(layers[a:b]) + end for (a, b), end in zip(pairwise(cuts), ends, strict=True))
