"""Training with a schedule in a loop of one's own: exactly what one process would do."""

from __future__ import annotations

import re

import pytest

import sim

torch = pytest.importorskip("torch")
from torch_ranks import ranks_of, tried  # noqa: E402
from train_ranks import example_in_one_process  # noqa: E402

from backend.training.checks import objection  # noqa: E402

FAMILIES = (
    "1f1b", "gpipe", "interleaved", "zb-h1", "zb-v", "v-half", "v-min", "v-zb", "dualpipe-v",
    "2bp-1f1b-1", "v-half:native", "zb-h1:native",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("p", "names"), [(2, ("1f1b", *FAMILIES[-4:])), (4, FAMILIES)])
def test_five_steps_with_clipping_are_those_of_one_process(p: int, names: tuple[str, ...]) -> None:
    for name, error in ranks_of(p, "train_ranks", "families", *names)[0].items():
        assert error < 1e-12, name


@pytest.mark.slow
def test_data_parallel_pipelines_train_like_one_process_on_all_data() -> None:
    exact = (
        "v-half+reshard", "zb-v+fsdp+checkpoint+accumulate", "1f1b+ddp+accumulate",
        "dualpipe-v+reshard+checkpoint+accumulate", "v-half+tensor",
        "gpipe+ddp", "zb-h1+fsdp+native",
    )  # fmt: skip
    refused = "v-half+ddp", "v-half+reshard+native"
    found = ranks_of(4, "train_ranks", "beside_data_parallel", *exact, *refused)[0]
    assert "DDP, and v-half gives it W passes, which DDP never sees" in found.pop("v-half+ddp")
    assert "is sharded again after its forward" in found.pop("v-half+reshard+native")
    assert found.keys() == {*exact}
    for name, error in found.items():
        assert error < 1e-12, name


def test_a_step_takes_microbatches_of_any_lengths_frozen_stages_and_tied_weights() -> None:
    found, other = ranks_of(2, "train_ranks", "details")
    state = found.pop("state")
    # Four microbatches, and once more each where a stage recomputes.
    forwards = {name: found.pop(name) | other[name] for name in [*found] if "forwards" in name}
    assert forwards == {
        "forwards v-half": dict.fromkeys(range(4), 8),
        "forwards 1f1b": {0: 8, 1: 4},
        "forwards zb-h1": {0: 4, 1: 8},
    }
    # Four microbatches over three boundaries, and back over two: the first stage is frozen.
    assert other["warned"] == []  # that rank has no last stage
    (warning,) = found.pop("warned")  # one, though there were two steps
    assert "0 to 12 of a microbatch are left" in warning
    # Of microbatches whose backward is whole nothing is put aside: torch does those by itself.
    for each in (found, other):
        assert 0 < each.pop("put aside") == each.pop("matrices of W")
    assert found.pop("messages") == 4 * 3 + 4 * 2
    first, last = found.pop("warnings")  # one per stage, though there were two steps
    # A square of 256 entries beside the 2048 of a block, and the 176 of the head on the last stage.
    assert first.startswith("Squared: weights here cannot be split off (11% of the FLOPs")
    assert last.startswith("Squared: weights here cannot be split off (10% of the FLOPs")
    assert (state["schedule"], state["placement"]) == ("v-half", [0, 1, 1, 0])
    assert found.keys() >= {
        "uneven", "eval", "frozen 0", "tied", "several schedules", "plain backward between steps",
        "frozen in the schedule, behind", "recomputed v-half",
    }  # fmt: skip
    for name, error in found.items():
        assert error < 1e-12, name


def test_every_rank_says_the_same_sentence_when_they_do_not_fit() -> None:
    here, there = ranks_of(2, "train_ranks", "sentences")
    assert here == there
    expected = {
        "schedule": "rank 1 has another schedule than rank 0: zb-v (p=2, m=4), not v-half",
        "microbatches": "rank 1 has another schedule than rank 0: v-half (p=2, m=6), not",
        "order": "rank 1 has another order of passes",
        "split": "rank 1 has another split than rank 0: native, not deferred",
        "devices": "1f1b has 4 devices, and the group has 2 ranks",
        "slices": "seq1f1b has 2 slices per microbatch, and torch's runtime knows none",
        "modules": "rank 0: modules has stages [], and v-half puts [0, 3] here",
        "no x": "rank 0: x is missing, and this rank has the first stage",
        "rows": "rank 0: x has 7 rows for 4 microbatches: give a multiple of 4",
        "shapes": "rank 1 was given x of 4 x int64[2, 5], rank 0 4 x int64[2, 6]",
        "methods": "rank 1 called eval(), rank 0 step()",
        "list": "x is a list of 1, and the schedule has 4 microbatches",
        "targets": "microbatch 0 has 2 rows of x and 1 of target",
        "not a mapping": "rank 0: modules is a list: it must map stages to modules",
        "no_grad": "rank 1: step() under no_grad adds no gradient: call eval(), or leave no_grad",
        "autocast": "rank 1 called step() under autocast to bfloat16, rank 0 step(): call the same",
        "keyword rows": "rank 0: keywords['mask'] has 4 rows and x 8: a tensor by keyword is cut",
    }
    assert expected.keys() == here.keys()
    for name, start in expected.items():
        assert start in here[name], name


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("raise", "rank 2 failed in F1@2: KeyError: 'no such row' (train_ranks.py:"),
        ("exit", "rank 2 is gone before its "),
        ("kill", "rank 2 is gone before its "),
        ("hang", "of rank 2 did not come: that rank is still in F1@2"),
    ],
)
def test_a_rank_that_fails_is_named_with_its_pass_on_all_others(how: str, sentence: str) -> None:
    *others, failed = tried(3, "train_ranks", "failing", how, 2, timeout=3)
    for other in others:
        last = other.traceback.splitlines()[-1]
        assert last.startswith("backend.ranks.faults.PipelineFault: rank ")
        assert sentence in last
    if how == "raise":
        assert failed.traceback.splitlines()[-1] == others[0].traceback.splitlines()[-1]


def test_the_rank_that_keeps_the_store_is_named_when_it_is_killed() -> None:
    _, *others = tried(3, "train_ranks", "failing", "kill", 0, timeout=10)
    for other in others:
        assert "PipelineFault: rank 0 is gone before " in other.traceback.splitlines()[-1]


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("dict", "in a trial of F0@1: TypeError: stage 1 returned dict: it must return a tensor"),
        ("nothing", "in a trial of F0@1: TypeError: stage 1 returned NoneType: it must return"),
        ("no graph", "in the loss of F0@1: ValueError: loss_fn returned a number without its"),
        ("vector", "in the loss of F0@1: ValueError: loss_fn returned (2, 6): it must return one"),
    ],
)
def test_a_stage_or_a_loss_that_returns_something_else_is_named_on_all_ranks(
    how: str, sentence: str
) -> None:
    for rank in tried(2, "train_ranks", "misbehaving", how):
        last = rank.traceback.splitlines()[-1]
        assert last.startswith(f"backend.ranks.faults.PipelineFault: rank 1 failed {sentence}")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("kill", "rank 2 is gone before step 2: it was killed, ran out of memory, or left"),
        ("raise", "rank 2 is gone before step 2: KeyError: 'no such file'"),
        ("sleep", "rank 2 had not come to step 2 when the timeout of the process group was over"),
        ("forgets", "rank [01] called clip_grad_norm_ 1 while rank 2 called step 2: all ranks"),
    ],
)
def test_a_rank_that_is_missing_between_passes_is_named(how: str, sentence: str) -> None:
    for other in tried(3, "train_ranks", "leaving", how, timeout=2)[:2]:
        last = other.traceback.splitlines()[-1]
        assert re.match(f"backend.ranks.faults.PipelineFault: {sentence}", last)


ONE_F_ONE_B = sim.FAMILIES["1f1b"](2, 4)


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (
            sim.recomputed(ONE_F_ONE_B, place="in waits", costs=sim.Costs.uniform(ONE_F_ONE_B)),
            "in 1f1b R0@0 stands apart from its backward, and torch rebuilds in the backward alone",
        ),
        (sim.forward_only(ONE_F_ONE_B), "in 1f1b no stage trains anything: give the schedule it"),
        (sim.frozen(ONE_F_ONE_B, [0]), "stage 0 trains nothing in 1f1b, and 2 parameters of its"),
    ],
)
def test_what_torchs_runtime_is_not_told_to_do_is_refused(
    schedule: sim.Schedule, sentence: str
) -> None:
    modules = {0: torch.nn.Linear(2, 2)}
    assert objection(ONE_F_ONE_B, modules, rank=0, n_ranks=2, split="deferred") == ""
    said = objection(schedule, modules, rank=0, n_ranks=2, split="deferred")
    assert said.startswith(sentence)
    if schedule.trains and sim.Op("BW", 1, 0) in schedule.orders[1]:
        modules[0].requires_grad_(False)
        assert objection(schedule, modules, rank=0, n_ranks=2, split="deferred") == ""


def test_recompute_is_refused_where_a_second_forward_would_do_harm() -> None:
    again = sim.recomputed(sim.FAMILIES["zb-h1"](2, 4), [0])
    modules = {0: torch.nn.Linear(2, 2)}
    assert objection(again, modules, rank=0, n_ranks=2, split="deferred") == ""
    said = objection(again, modules, rank=0, n_ranks=2, split="native")
    assert said.startswith("stage 0 recomputes in zb-h1, and torch's own split would rebuild in B")
    wrapped = {0: object.__new__(torch.nn.parallel.DistributedDataParallel)}
    torch.nn.Module.__init__(wrapped[0])
    said = objection(sim.recomputed(ONE_F_ONE_B), wrapped, rank=0, n_ranks=2, split="deferred")
    assert "wrapped for data parallelism, whose hooks a second forward would run again" in said


def test_the_example_trains_like_one_process() -> None:
    losses = ranks_of(2, "train_ranks", "example", "train", "v-half")[1]
    assert losses == pytest.approx(example_in_one_process(8, 3), rel=1e-12)


@pytest.mark.slow
def test_the_sharded_example_trains_like_one_process() -> None:
    losses = ranks_of(4, "train_ranks", "example", "train_sharded", "zb-v", 2)[3]
    assert losses == pytest.approx(example_in_one_process(16, 2, 2), rel=1e-12)


def test_what_one_schedule_saved_another_resumes() -> None:
    losses, writer = ranks_of(2, "train_ranks", "example", "resume", "v-half", "1f1b")[0]
    assert losses == pytest.approx(example_in_one_process(8, 4), rel=1e-12)
    assert writer == "v-half"
