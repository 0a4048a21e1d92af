"""What can be said of the CUDA paths without a GPU: the calls they make, on stand-ins for CUDA.

The stand-ins run everything at once and in order, so nothing is said of overlap, of the memory
allocator, or of the driver: that is for the tests marked cuda.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch

import sim
from backend.stages.reference import gradient_error, gradients_of, plain_backward
from backend.stages.transformer import Model, tokens, transformer_stages
from backend.threads import lanes
from backend.threads import run as local
from backend.threads.copy_queues import StreamQueue
from backend.threads.sm_groups import sm_groups


class Event:
    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.when: float | None = None

    def record(self, stream: Stream) -> None:
        self.when = time.perf_counter()
        stream.log.append(("record", self))

    def synchronize(self) -> None:
        assert self.when is not None

    def elapsed_time(self, other: Event) -> float:
        assert self.when is not None
        assert other.when is not None
        return 1e3 * (other.when - self.when)


class Stream:
    def __init__(self, device: Any = None) -> None:
        self.device = device
        self.log: list[tuple[str, object]] = []

    def wait_stream(self, other: Stream) -> None:
        self.log.append(("wait", other))

    def wait_event(self, event: Event) -> None:
        assert event.when is not None, "waits for an event that nobody has recorded"
        self.log.append(("wait", event))

    def synchronize(self) -> None:
        self.log.append(("synchronize", None))


class Seen(NamedTuple):
    """made: streams that the code under test made. kept: tensors, and the other stream that each
    was told of."""

    made: list[Stream]
    kept: list[tuple[torch.Tensor, Stream]]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """torch.cuda on stand-ins."""
    seen = Seen([], [])
    current: list[Stream] = []

    def new_stream(device: Any = None) -> Stream:
        seen.made.append(Stream(device))
        return seen.made[-1]

    @contextmanager
    def stream(chosen: Stream) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Stream", new_stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(
        torch.Tensor,
        "record_stream",
        lambda tensor, on: seen.kept.append((tensor, on)),
        raising=False,
    )
    return seen


def test_a_copy_waits_for_its_pass_and_its_reader_for_the_copy(cuda: Seen) -> None:
    sender, reader = (lanes.CudaLane(Stream()) for _ in range(2))  # type: ignore[arg-type]
    copies = cuda.made[0]
    made = torch.ones(3)
    copied = sender.copied((made, None))
    assert copied.tensors[1] is None
    assert copied.tensors[0] is not made
    assert [what for what, _ in copies.log] == ["wait", "record", "record"]
    assert copies.log[0] == ("wait", sender.stream)
    reader.accept(copied, 0.0)
    assert reader.stream.log == [("wait", copied.end)]  # type: ignore[attr-defined]
    kept = {(id(tensor), id(stream)) for tensor, stream in cuda.kept}
    assert kept == {(id(made), id(copies)), (id(copied.tensors[0]), id(reader.stream))}
    assert sender.seconds(copied.start, copied.end) >= 0


def test_what_is_offloaded_waits_for_its_pass_and_its_backward_for_it(
    cuda: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the current one")
    empty, pinned = torch.empty, list[bool]()

    def without_pinning(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        pinned.append(pin_memory)
        return empty(*shape, **options)

    monkeypatch.setattr(torch, "empty", without_pinning)
    lane = lanes.CudaLane(Stream("cpu"))  # type: ignore[arg-type]
    out, back = StreamQueue(lane), StreamQueue(lane)
    data, kept = torch.arange(5, dtype=torch.uint8), list[torch.Tensor]()
    away = out.submit(lambda: kept.append(lane.stored(data, host=True)))
    here = back.submit(lambda: kept.append(lane.loaded(kept[0])), after=away)
    here.wait()
    first, second = cuda.made[1:]
    assert [what for what, _ in first.log] == ["wait", "record"]
    assert [what for what, _ in second.log] == ["wait", "wait", "record"]
    assert first.log[0][1] is second.log[0][1] is lane.stream
    assert second.log[1][1] is first.log[1][1]
    assert lane.stream.log == [("wait", second.log[2][1])]  # type: ignore[attr-defined]
    assert pinned == [True, False]
    assert torch.equal(kept[1], data)
    told = {(id(tensor), str(stream)) for tensor, stream in cuda.kept}
    assert told == {(id(data), "the current one"), (id(kept[1]), str(lane.stream))}
    out.close()
    back.close()


def offloading() -> sim.Schedule:
    return sim.offloaded(sim.FAMILIES["v-half"](2, 4), stores=(1, None))


@pytest.mark.parametrize("name", ["v-half", "interleaved", "seq1f1b", "2bp-1f1b-2", "offloading"])
def test_the_engine_runs_on_streams_as_it_does_on_threads(
    name: str, cuda: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the current one")
    monkeypatch.setattr(lanes.CudaLane, "stored", lanes.CpuLane.stored)
    monkeypatch.setattr(lanes.CudaLane, "loaded", lanes.CpuLane.loaded)
    made: list[lanes.CudaLane] = []

    def on_streams(device: Any, n: int, streams: Any = None) -> list[lanes.CudaLane]:
        made.extend(lanes.CudaLane(Stream(device)) for _ in range(n))  # type: ignore[arg-type]
        return made

    monkeypatch.setattr(local, "make_lanes", on_streams)
    schedule = offloading() if name == "offloading" else sim.FAMILIES[name](2, 4)
    model = Model(
        (1,) * schedule.n_stages, width=16, heads=2, vocabulary=17, sequence=8, dtype=torch.float64
    )
    stages, (batch, targets) = transformer_stages(model), tokens(model, 4)
    plain = plain_backward(stages, batch, targets=targets)
    result = local.run(schedule, stages, batch, targets=targets, steps=2, delay=1e-4)
    assert result.loss == pytest.approx(plain.loss, rel=1e-12)
    assert gradient_error(gradients_of(stages), plain.gradients) < 1e-12
    ops = result.trace.ops
    assert (ops.end >= ops.start).all()
    assert len(ops) == schedule.n_ops
    waited = [what for lane in made for what, _ in lane.stream.log].count("wait")  # type: ignore[attr-defined]
    loads = [op for order in schedule.orders for op in order if op.kind == "L"]
    assert waited == 3 * len(result.trace.transfers) + 2 * len(loads)  # bytes once, times twice
    assert bool(loads) == (name == "offloading")


def driver_of(monkeypatch: pytest.MonkeyPatch, *, refused: int = 0) -> list[tuple[str, Any]]:
    """A GPU of 132 multiprocessors whose driver answers, or refuses groups with an error code; the
    calls it gets."""
    calls: list[tuple[str, Any]] = []

    def answers(name: str, *found: Any, error: int = 0) -> Any:
        def call(*given: Any) -> tuple[Any, ...]:
            calls.append((name, given))
            return (error, *found)

        return call

    resource = types.SimpleNamespace(sm=types.SimpleNamespace(smCount=32))
    driver = types.SimpleNamespace(
        CUdevResourceType=types.SimpleNamespace(CU_DEV_RESOURCE_TYPE_SM=1),
        CUgreenCtxCreate_flags=types.SimpleNamespace(CU_GREEN_CTX_DEFAULT_STREAM=1),
        CUstream_flags=types.SimpleNamespace(CU_STREAM_NON_BLOCKING=1),
        cuDeviceGet=answers("device", "gpu 0"),
        cuDeviceGetDevResource=answers("resource", "all"),
        cuDevSmResourceSplitByCount=answers(
            "split", ["a", "b", "c", "d"], 4, "rest", error=refused
        ),
        cuDevResourceGenerateDesc=answers("describe", "description"),
        cuGreenCtxCreate=answers("create", "context"),
        cuGreenCtxGetDevResource=answers("count", resource),
        cuGreenCtxStreamCreate=answers("stream", 77),
    )
    bindings = types.ModuleType("cuda.bindings")
    bindings.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties",
        lambda gpu: types.SimpleNamespace(multi_processor_count=132),
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda pointer, device: (pointer, device))
    return calls


def test_one_call_makes_all_groups_and_every_group_gets_its_own_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = driver_of(monkeypatch)
    found = sm_groups(4)
    names = [name for name, _ in calls]
    assert names.count("split") == 1
    assert dict(calls)["split"] == (4, "all", 0, 32)
    assert [given for name, given in calls if name == "describe"] == [
        ([group], 1) for group in "abcd"
    ]
    assert [group[:3] for group in found] == [((77, 0), 32, True)] * 4
    assert all(group.context == "context" for group in found)


def test_a_driver_that_refuses_gives_ordinary_streams_and_says_why(
    cuda: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_of(monkeypatch, refused=801)
    with pytest.warns(UserWarning, match="cannot be partitioned .the CUDA driver said 801"):
        found = sm_groups(4)
    assert [group.green for group in found] == [False] * 4
    assert [group.stream for group in found] == cuda.made
    assert len(cuda.made) == 4
