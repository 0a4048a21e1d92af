"""torch's own pipeline runtime plays our schedules: gradients, order of passes, refusals."""

from __future__ import annotations

import pytest

import sim

torch = pytest.importorskip("torch")
from torch_ranks import answers, found  # noqa: E402

from backend.ranks.checks import require_runnable  # noqa: E402
from backend.ranks.gather import receive_buffers  # noqa: E402

FOR_TORCHTITAN = ("v-half", "v-min", "v-zb", "zb-h1", "interleaved")
WHOLE = [
    name
    for name, family in sim.FAMILIES.items()
    if family(2, 6).n_slices == 1 and not sim.mechanisms(family(4, 8))
]


@pytest.mark.parametrize("p", [2, 4])
def test_torch_runs_our_csv_with_exact_gradients(p: int) -> None:
    for case in found(p, *(f"{name}:csv" for name in FOR_TORCHTITAN)):
        assert case["loss"] == pytest.approx(case["reference_loss"], rel=1e-12), case["family"]
        assert case["error"] < 1e-12, case["family"]


def test_the_torch_engine_runs_every_family_without_slices_with_exact_gradients() -> None:
    cases = [f"{name}:deferred" for name in WHOLE] + ["v-half:native", "zb-h1:native"]
    for case in found(2, *cases):
        name = case["family"]
        schedule = sim.FAMILIES[name](2, case["m"])
        assert case["loss"] == pytest.approx(case["reference_loss"], rel=1e-12), name
        assert case["error"] < 1e-12, name
        assert case["order"] == [str(op) for order in schedule.orders for op in order], name
        assert case["makespan"] > 0
        assert all(size > 0 for size in case["peak_bytes"])


def test_a_rank_that_dies_takes_the_others_with_it() -> None:
    left, died = answers(2, "1f1b:die")
    sentence = died.traceback.splitlines()[-1]
    assert sentence.startswith(
        "backend.ranks.faults.PipelineFault: rank 1 failed in BW0@1: Runtime"
    )
    assert "this process was told to die" in sentence
    assert left.traceback.splitlines()[-1] == sentence


def test_receive_buffers_are_one_per_microbatch_and_direction_between_ranks() -> None:
    straight = sim.FAMILIES["1f1b"](3, 5)
    assert receive_buffers(straight, (10, 7)) == (50, 85, 35)
    v = sim.FAMILIES["v-half"](2, 5)  # stages 0 1 | 1 0: the turn stays on its device
    assert receive_buffers(v, (10, 99, 10)) == (100, 100)


@pytest.mark.parametrize(
    ("name", "options", "rows", "n_processes", "sentence"),
    [
        ("1f1b", {}, 9, 4, "the batch has 9 rows for 8 microbatches"),
        ("seq1f1b", {}, 8, 4, "2 slices per microbatch: torch's runtime knows none"),
        ("interleaved", {"v": 3}, 8, 4, "12 stages, but 4 modules were given"),
        ("1f1b", {}, 8, 2, "4 devices, but 2 processes run: start torchrun with --nproc-per-node"),
    ],
)
def test_what_torch_cannot_run_is_refused_before_anything_runs(
    name: str, options: dict[str, int], rows: int, n_processes: int, sentence: str
) -> None:
    schedule = sim.FAMILIES[name](4, 8, **options)
    stages = [torch.nn.Identity()] * 4
    require_runnable(sim.FAMILIES["1f1b"](4, 8), stages, torch.zeros(8, 2), n_processes=4)
    with pytest.raises(ValueError, match=sentence):
        require_runnable(schedule, stages, torch.zeros(rows, 2), n_processes=n_processes)
