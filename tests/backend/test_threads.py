"""The local engine: every schedule gives the loss and gradients of one plain backward."""

from __future__ import annotations

import functools
import gc
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from local_engine import RUNNABLE
from torch import nn

import backend
import sim
from backend.measure.passes import measured_passes
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, even_layers, grouped, tokens, transformer_stages
from backend.threads.board import Board, PassFailed, Stuck
from backend.threads.checks import require_runnable
from backend.threads.interpreter import undisturbed_passes
from backend.threads.result import RunResult
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "vocabulary": 17, "sequence": 8}


def small(
    schedule: sim.Schedule, **sizes: object
) -> tuple[list[nn.Module], torch.Tensor, torch.Tensor]:
    """An uneven model with one layer more than stages, and two rows per microbatch."""
    layers = even_layers(schedule.n_stages + 1, schedule.n_stages)
    model = Model(layers=layers, **{**SMALL, **sizes})
    batch, targets = tokens(model, 2 * schedule.n_microbatches)
    return transformer_stages(model), batch, targets


def errors(
    stages: Sequence[nn.Module], batch: Any, targets: Any, result: RunResult, **options: Any
) -> tuple[float, float]:
    """Relative deviation of the loss and of the worst gradient from a plain backward."""
    plain = plain_backward(stages, batch, targets=targets, **options)
    loss = abs(result.loss - plain.loss) / abs(plain.loss)
    return loss, gradient_error(gradients_of(stages), plain.gradients)


@pytest.fixture(autouse=True)
def _threads_and_collection_are_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("p", "m"), [(2, 3), (4, 5)])
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_family_gives_the_gradients_of_one_plain_backward(name: str, p: int, m: int) -> None:
    schedule = RUNNABLE[name](p, m)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12


@settings(max_examples=20, deadline=None)
@given(
    sim.testing.schedules(max_devices=3, max_microbatches=4).filter(
        lambda schedule: not schedule.copies and not schedule.vocabulary
    )
)
def test_any_schedule_runs_and_keeps_what_the_simulator_says(schedule: sim.Schedule) -> None:
    model = Model(layers=(1,) * schedule.n_stages, dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, schedule.n_microbatches)
    result = run(schedule, stages, batch, targets=targets)
    assert max(errors(stages, batch, targets, result)) < 1e-12
    costs = measured_costs(schedule.n_stages, schedule.n_slices)
    predicted = sim.peak_bytes(sim.simulate(schedule, costs))
    for guess, real in zip(predicted, result.peak_bytes, strict=True):
        # passes of a fused step run one after the other here: a backward first makes room
        assert real <= 1.01 * guess
        assert schedule.fused or real >= 0.99 * guess


@functools.cache
def measured_costs(n_stages: int, n_slices: int) -> sim.Costs:
    model = Model(layers=(1,) * n_stages, dtype=torch.float64, **SMALL)
    stages, (batch, targets) = transformer_stages(model), tokens(model, 1)
    found = measured_passes(
        stages, batch, targets=targets, n_slices=n_slices, steps=1, warmup=0, grouped=False
    )
    return found.costs()


@pytest.mark.parametrize("name", ["1f1b", "zb-h1", "v-half", "dualpipe-v", "seq1f1b", "2bp-gpipe"])
def test_single_precision_stays_within_1e_5(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 3)
    stages, batch, targets = small(schedule)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-5


@pytest.mark.parametrize("name", [n for n in RUNNABLE if not sim.FAMILIES[n](4, 8).routes])
def test_one_device_runs_too(name: str) -> None:
    schedule = sim.FAMILIES[name](1, 3)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12


@pytest.mark.parametrize("name", ["1f1b", "zb-h1", "v-half", "2bp-gpipe"])
def test_the_native_split_gives_the_same_gradients(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 3)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    result = run(schedule, stages, batch, targets=targets, split="native", memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12


@pytest.mark.parametrize("split", ["deferred", "native"])
def test_checkpointed_blocks_give_the_same_gradients(split: Any) -> None:
    schedule = sim.FAMILIES["zb-h1"](2, 3)
    stages, batch, targets = small(schedule, dtype=torch.float64, checkpointed=True)
    result = run(schedule, stages, batch, targets=targets, split=split, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12


def test_rows_that_do_not_divide_evenly_weigh_alike() -> None:
    schedule = sim.FAMILIES["seq1f1b"](2, 3, slices=3)
    stages, _, _ = small(schedule, dtype=torch.float64)
    batch, targets = tokens(Model(layers=(1,), **SMALL), 7)
    result = run(schedule, stages, batch, targets=targets, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12


class Pair(nn.Module):
    """Takes and returns two tensors, one of them whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tanh(self.inner(x)) * mask, mask


class Start(Pair):
    """Makes the pair out of one tensor."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return super().forward(x, (x[:, :1] > 0).long())


def mean_square(output: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
    return (output if target is None else output - target).square().mean()


@pytest.mark.parametrize("split", ["deferred", "native"])
def test_several_tensors_cross_a_boundary(split: Any) -> None:
    schedule = sim.FAMILIES["zb-h1"](3, 5)
    stages = [Start().double(), Pair().double(), Pair().double()]
    batch, targets = torch.randn(10, 6).double(), torch.randn(10, 6).double()
    result = run(
        schedule, stages, batch, targets=targets, loss_fn=mean_square, split=split, memory=0
    )
    assert max(errors(stages, batch, targets, result, loss_fn=mean_square)) < 1e-12


def test_any_list_of_modules_runs_without_targets_too() -> None:
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 8), nn.Tanh()]
    stages = grouped([layer.double() for layer in layers], (2, 1, 1, 1))
    schedule, batch = sim.FAMILIES["v-min"](2, 5), torch.randn(10, 6).double()
    result = run(schedule, stages, batch, loss_fn=mean_square)
    assert max(errors(stages, batch, None, result, loss_fn=mean_square)) < 1e-12


@pytest.mark.parametrize(("name", "p"), [("1f1b", 2), ("zb-h1", 4), ("v-half", 2)])
def test_weights_shared_between_stages_get_the_sum_of_their_gradients(name: str, p: int) -> None:
    schedule = sim.FAMILIES[name](p, 5)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    first, last = cast(Any, stages[0]), cast(Any, stages[-1])
    embedding, head = first.parts[0].token, last.parts[-1].out
    head.weight = embedding.weight
    if p > 2:
        stages[2] = stages[1]  # a whole module on two devices
    result = run(schedule, stages, batch, targets=targets, memory=0)
    assert max(errors(stages, batch, targets, result)) < 1e-12
    assert head.weight is embedding.weight


class Squared(nn.Bilinear):
    """A weight that no rule of the split covers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x, x)


def test_weights_that_cannot_be_split_are_named_once() -> None:
    stages = [nn.Sequential(Squared(5, 5, 5), nn.Tanh()).double() for _ in range(2)]
    schedule, batch = sim.FAMILIES["zb-h1"](2, 4), torch.randn(8, 3, 5).double()
    with pytest.warns(UserWarning, match="Squared") as caught:
        result = run(schedule, stages, batch, loss_fn=mean_square)
    assert len(caught) == 1
    assert max(errors(stages, batch, None, result, loss_fn=mean_square)) < 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # without weight passes there is nothing to say
        run(sim.FAMILIES["1f1b"](2, 4), stages, batch, loss_fn=mean_square)


def test_the_callers_autocast_holds_in_the_forward_passes() -> None:
    schedule = sim.FAMILIES["zb-h1"](2, 2)
    stages, batch, targets = small(schedule)
    seen: list[torch.dtype] = []
    cast(Any, stages[0]).parts[1].up.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        run(schedule, stages, batch, targets=targets, memory=0)
    assert set(seen) == {torch.bfloat16}


def test_what_was_in_grad_does_not_matter_and_swaps_are_undone() -> None:
    schedule = sim.FAMILIES["zb-h1"](2, 3)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    for module in stages:
        for parameter in module.parameters():
            parameter.grad = torch.randn_like(parameter)
    result = run(schedule, stages, batch, targets=targets, steps=2, warmup=1)
    assert max(errors(stages, batch, targets, result)) < 1e-12
    assert not any("forward" in vars(part) for module in stages for part in module.modules())


def test_the_trace_holds_every_pass_and_transfer_of_the_schedule() -> None:
    schedule = sim.FAMILIES["v-half"](2, 3)
    stages, batch, targets = small(schedule)
    result = run(schedule, stages, batch, targets=targets, steps=3)
    trace = result.trace
    assert (trace.origin, len(result.traces)) == ("measured", 3)
    ran = sim.simulate(schedule, sim.Costs.uniform(schedule))
    for name in ("ops", "transfers", "memory"):
        assert set(getattr(ran, name).columns) <= set(getattr(trace, name).columns)
    key = ["device", "position", "kind", "stage", "microbatch", "slice"]
    assert set(map(tuple, trace.ops[key].to_numpy())) == set(map(tuple, ran.ops[key].to_numpy()))
    crossed = ["value", "stage", "microbatch", "slice", "source", "destination"]
    assert set(map(tuple, trace.transfers[crossed].to_numpy())) == set(
        map(tuple, ran.transfers[crossed].to_numpy())
    )
    assert trace.ops["start"].min() == 0
    assert (trace.ops["end"] > trace.ops["start"]).all()
    waited = trace.ops.dropna(subset=["arrived"])
    assert (waited["start"] >= waited["arrived"]).all()
    assert set(waited["source"]) <= {str(op) for order in schedule.orders for op in order}
    assert (trace.transfers["start"] >= trace.transfers["ready"]).all()
    assert (trace.transfers["bytes"] == 2 * 8 * 16 * 4).all()
    assert sim.peak_bytes(trace) == result.peak_bytes
    assert 0 < sim.longest_stage(trace) <= sim.makespan(trace)
    assert sim.makespan(trace) == sorted(map(sim.makespan, result.traces))[1]


def test_fused_passes_share_one_step() -> None:
    schedule = sim.FAMILIES["2bp-gpipe"](2, 3)
    stages, batch, targets = small(schedule)
    ops = run(schedule, stages, batch, targets=targets, memory=0).trace.ops
    weights = ops[ops["kind"] == "W"].groupby("device")
    assert (weights["step"].nunique() == 1).all()
    assert (weights["start"].nunique() == 1).all()


def test_a_delay_holds_up_what_crosses_devices_and_nothing_else() -> None:
    schedule = sim.FAMILIES["v-half"](2, 1)
    stages, batch, targets = small(schedule)
    asked: list[tuple[int, int, int]] = []

    def delay(source: int, destination: int, size: int) -> float:
        asked.append((source, destination, size))
        return 0.02

    trace = run(schedule, stages, batch, targets=targets, delay=delay, memory=0).trace
    # forward 0 -> 1 -> 1 -> 0, backward likewise: four crossings, one after the other
    assert {pair[:2] for pair in asked} == {(0, 1), (1, 0)}
    assert len(asked) == 4
    assert ((trace.transfers["end"] - trace.transfers["ready"]) >= 0.02).all()
    assert sim.makespan(trace) >= 0.08


class Failing(nn.Module):
    """Counts its forwards, and raises in one of them."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.inner, self.at, self.calls = nn.Linear(6, 6), at, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.at:
            raise ArithmeticError("no luck")
        return self.inner(x)


def test_a_failing_pass_stops_all_devices_and_is_named() -> None:
    schedule = sim.FAMILIES["1f1b"](3, 6)
    first, failing, _ = stages = [Failing(), Failing(at=3), Failing()]
    with pytest.raises(PassFailed, match=r"device 1 failed in F2@1: ArithmeticError: no luck") as e:
        run(schedule, stages, torch.randn(6, 6), loss_fn=mean_square, memory=0, timeout=1e9)
    assert isinstance(e.value.__cause__, ArithmeticError)
    for thread in threading.enumerate():
        if thread.name.startswith("device "):
            thread.join()  # comes back, although what it waits for never comes
    assert failing.calls == 3
    assert "forward" not in vars(first.inner)


class Sleeper(nn.Module):
    """Does not come back until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)
        self.wake = threading.Event()
        self.awake = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.wake.wait(300)
        self.awake = True
        return self.inner(x)


def test_a_stuck_run_is_given_up_while_its_pass_goes_on() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 2)
    stages = [nn.Linear(6, 6), sleeper := Sleeper()]
    with pytest.raises(Stuck, match=r"device 1 is in F0@1 .*; if passes really take that long"):
        run(schedule, stages, torch.randn(4, 6), loss_fn=mean_square, memory=0, timeout=0.8)
    assert not sleeper.awake
    sleeper.wake.set()


def test_who_is_stuck_is_told_with_what_everybody_waits_for() -> None:
    board, stopped = Board(3), list[str]()
    board.waits(0, sim.Op("BW", 0, 0), sim.Value("gradient", 0, 0))
    board.runs(1, sim.Op("F", 1, 0))
    board.ends(2)
    with pytest.raises(Stuck) as e:
        board.watch(0.01, lambda: stopped.append("told to stop"))
    assert "nothing has moved for 0.01 seconds" in str(e.value)
    assert "device 0 waits for the gradient of 0@0 before BW0@0 (for" in str(e.value)
    assert "device 1 is in F0@1 (for" in str(e.value)
    assert "device 2 is through;" in str(e.value)
    assert stopped == ["told to stop"]


def test_an_invalid_schedule_is_refused_before_anything_runs() -> None:
    good = sim.FAMILIES["1f1b"](2, 3)
    wrong = sim.Schedule(good.placement, (good.orders[0], good.orders[1][::-1]), 3)
    stages = [Failing(at=1), Failing(at=1)]
    with pytest.raises(sim.InvalidSchedule):
        run(wrong, stages, torch.randn(6, 6), loss_fn=mean_square)
    assert stages[0].calls == stages[1].calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "half"}, "split is 'half': use one of deferred, native"),
        ({"steps": 0}, "steps is 0: it must be a whole number >= 1"),
        ({"memory": 2}, "memory is 2: bytes are exact"),
        ({"delay": -1.0}, "delay is -1.0: give seconds >= 0"),
        ({"timeout": 0}, "timeout is 0: give seconds > 0"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"targets": torch.zeros(5, 8, dtype=torch.long)}, "targets have shape"),
        ({"batch": torch.zeros(2, 8, dtype=torch.long)}, "2 rows for 3 microbatches"),
    ],
)
def test_arguments_that_do_not_fit_get_one_sentence(options: dict[str, Any], message: str) -> None:
    schedule = sim.FAMILIES["1f1b"](2, 3)
    stages, batch, targets = small(schedule)
    arguments = {"batch": batch, "targets": targets, **options}
    with pytest.raises((ValueError, RuntimeError), match=message):
        run(schedule, stages, arguments.pop("batch"), **arguments)


def test_the_wrong_number_of_stages_and_stages_without_a_cache_are_refused() -> None:
    schedule = sim.FAMILIES["1f1b"](2, 3)
    stages, batch, targets = small(schedule)
    with pytest.raises(ValueError, match="got 1 stages, but 1f1b has 2"):
        run(schedule, stages[:1], batch, targets=targets)
    sliced = sim.FAMILIES["seq1f1b"](2, 3)
    plain = [nn.Linear(8, 8), nn.Linear(8, 8)]
    with pytest.raises(ValueError, match=r"stage 0 \(Linear\) takes no cache"):
        run(sliced, plain, torch.randn(6, 8), loss_fn=mean_square)
    with pytest.raises(ValueError, match="knows no slices"):
        run(sliced, stages, batch, targets=targets, split="native")


def test_passes_that_the_engine_does_not_know_are_refused() -> None:
    unknown = sim.Op(cast(Any, "X"), 0, 0)
    schedule = sim.Schedule((0,), ((sim.Op("F", 0, 0), unknown),), 1, name="new")
    with pytest.raises(ValueError, match="new has passes X, which the local engine cannot"):
        require_runnable(schedule, [nn.Linear(2, 2)], "deferred")


def test_the_package_offers_its_names_lazily() -> None:
    assert backend.run is run
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        backend.walk  # noqa: B018


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", ["1f1b", "zb-h1", "v-half", "seq1f1b"])
def test_streams_of_one_gpu_give_the_same_gradients(name: str) -> None:
    schedule = sim.FAMILIES[name](2, 5)
    stages, batch, targets = small(schedule, dtype=torch.float64)
    result = run(schedule, stages, batch, targets=targets, device="cuda")
    batch, targets = batch.cuda(), targets.cuda()
    assert max(errors(stages, batch, targets, result)) < 1e-12
    assert sim.peak_bytes(result.trace) == result.peak_bytes


def test_garbage_waits_until_the_last_of_two_runs_at_the_same_time() -> None:
    first, second = undisturbed_passes(), undisturbed_passes()
    assert gc.isenabled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
