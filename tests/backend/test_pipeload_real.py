"""Streamed inference on torch: the same bits, under the limit, and a clean end whatever happens."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from forked import in_a_process  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from memory_growth import streaming_growth  # noqa: E402
from stored_networks import inputs, network, nothing_left, plain, small_layer, stored_network  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from backend.live_bytes import LiveBytes  # noqa: E402
from backend.pipeload.agents import PipeloadError  # noqa: E402
from backend.pipeload.demo import demo_inputs, make_demo, skeletons  # noqa: E402
from backend.pipeload.layer_files import LayerFileError, open_model, store_model  # noqa: E402
from backend.pipeload.profile import StreamOptions, measured_runs, profile_layers, resident_output  # noqa: E402
from backend.pipeload.run import run_streamed, streamed_model  # noqa: E402
from backend.pipeload.throttle import Throttle  # noqa: E402
from sim.metrics.metrics import peak_bytes  # noqa: E402
from sim.pipeload import STRATEGIES, Disk, MemoryLimitTooSmall, latency  # noqa: E402
from sim.pipeload.plot import streaming_figure  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("loaders", [1, 2, 5, 20])
def test_the_output_is_that_of_the_resident_model_bit_for_bit(
    tmp_path: Path, strategy: Any, loaders: int
) -> None:
    modules = network()
    stored = stored_network(tmp_path, modules)
    with torch.device("meta"):
        empty = network()
    run = run_streamed(stored, empty, inputs(), loaders=loaders, strategy=strategy)
    assert torch.equal(run.output, plain(modules, inputs()))


def test_one_token_through_odd_sizes_gives_the_same_bits(tmp_path: Path) -> None:
    """Kernels for one row add up in an order that depends on where the weights begin."""
    modules = [
        nn.Embedding(20, 8),
        *(small_layer(inner, 8) for inner in (1, 200, 900)),
        nn.Linear(8, 5),
    ]
    stored = store_model(modules, tmp_path, resident={0})
    for token in torch.arange(20):
        one = token.view(1, 1)
        assert torch.equal(run_streamed(stored, modules, one).output, plain(modules, one))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
def test_the_process_itself_grows_by_no_more_than_the_limit(tmp_path: Path) -> None:
    """Loaders that take memory from malloc leave it in arenas of their own: the count would be
    right and the machine full."""
    limit, grown = in_a_process(streaming_growth, tmp_path / "model")
    # An eighth for the stacks of threads, code that is loaded late and the kernels' own scratch.
    assert grown < limit * 9 / 8


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 60), min_size=1, max_size=7),
    loaders=st.integers(1, 5),
    spare=st.integers(0, 30_000),
    batch=st.integers(1, 4),
)
def test_no_loaders_limit_or_layer_sizes_block_or_pass_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
    widths: list[int],
    loaders: int,
    spare: int,
    batch: int,
) -> None:
    modules = network(tuple(widths))
    stored = stored_network(tmp_path_factory.mktemp("model"), modules)
    limit = int(streamed_model(stored, modules, inputs(batch)).smallest_limit) + spare
    live = LiveBytes()
    run = run_streamed(
        stored, modules, inputs(batch), loaders=loaders, memory_limit=limit, live_bytes=live
    )
    assert torch.equal(run.output, plain(modules, inputs(batch)))
    assert 0 < run.peak_bytes <= limit
    assert peak_bytes(run.trace)[0] <= limit
    assert run.trace.ops["stage"].tolist() == list(range(len(widths)))
    del run
    assert nothing_left(live)


def test_the_peak_is_the_resident_part_and_the_layers_in_memory(tmp_path: Path) -> None:
    modules = network((64,) * 6)
    stored = stored_network(tmp_path, modules)
    model = streamed_model(stored, modules, inputs())
    limit = int(model.smallest_limit)
    tight = run_streamed(stored, modules, inputs(), loaders=3, memory_limit=limit)
    # All but the activations of the other modules, which the resident part has the most of.
    assert limit - 20_000 < tight.peak_bytes <= limit
    whole = run_streamed(stored, modules, inputs(), strategy="keep")
    assert limit < whole.peak_bytes <= model.bytes


def test_a_limit_too_small_is_refused_and_the_smallest_that_works_works(tmp_path: Path) -> None:
    stored = stored_network(tmp_path)
    with pytest.raises(MemoryLimitTooSmall, match=r"layer 2 takes \d+ bytes") as refusal:
        run_streamed(stored, network(), inputs(), memory_limit=1000)
    smallest = int(refusal.value.smallest)
    with pytest.raises(MemoryLimitTooSmall):
        run_streamed(stored, network(), inputs(), memory_limit=smallest - 1)
    run = run_streamed(stored, network(), inputs(), memory_limit=smallest, loaders=4)
    assert run.peak_bytes <= smallest


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content)


def garble_the_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:8] = b"\xff" * 8
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut_short, r"layer 3: .*part-0004.safetensors ends after \d+ of \d+ bytes.*cut off"),
        (flip_a_bit, "layer 3: .*part-0004.safetensors is damaged: its checksum is wrong"),
        (garble_the_header, "layer 3: .*part-0004.safetensors is damaged: it does not begin like"),
        (Path.unlink, "layer 3: cannot read .*part-0004.safetensors: No such file"),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_damaged_layer_ends_the_run_with_one_sentence_and_frees_everything(
    tmp_path: Path, damage: Any, sentence: str, strategy: Any
) -> None:
    stored = stored_network(tmp_path)  # opened before the damage: found while it streams
    damage(stored.directory / stored.parts[4].file)
    live = LiveBytes()
    with pytest.raises(PipeloadError, match=sentence) as failure:
        run_streamed(stored, network(), inputs(), loaders=2, strategy=strategy, live_bytes=live)
    assert "\n" not in str(failure.value)
    assert nothing_left(live)


def test_a_profile_has_no_more_readers_than_the_limit_has_room_for(tmp_path: Path) -> None:
    stored = stored_network(tmp_path, network((64,) * 6))
    modules = network((64,) * 6)
    limit = int(streamed_model(stored, modules, inputs()).smallest_limit)
    # One reader at a time learns of no other: the disk counts as one for one.
    profile = profile_layers(stored, modules, inputs(), repeats=1, memory_limit=limit)
    assert profile.disk.saturation == 1


def test_modules_with_the_same_tensors_share_a_file(tmp_path: Path) -> None:
    embedding, head, again = nn.Embedding(50, 32), nn.Linear(32, 50, bias=False), small_layer(8)
    head.weight = embedding.weight
    modules = [embedding, again, small_layer(8), again, nn.GELU(), nn.GELU(), head]
    stored = store_model(modules, tmp_path, resident={0, 6})
    assert open_model(tmp_path) == stored
    files = [part.file[5:9] for part in stored.parts]
    assert files == ["0000", "0001", "0002", "0001", "0004", "0005", "0000"]
    for strategy in STRATEGIES:
        run = run_streamed(stored, modules, inputs(), loaders=3, strategy=strategy)
        assert torch.equal(run.output, plain(modules, inputs()))
    limit = int(streamed_model(stored, modules, inputs()).smallest_limit)
    assert run_streamed(stored, modules, inputs(), memory_limit=limit).peak_bytes <= limit
    assert limit < 2 * embedding.weight.nbytes + stored.parts[1].bytes + 8 * 1024


def kill_when_there(name: str) -> None:
    """Raises SystemExit inside the thread of that name, as an interpreter would to end it."""
    for _ in range(2000):
        for thread in threading.enumerate():
            if thread.name == name and thread.ident:
                time.sleep(0.03)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
                )
                return
        time.sleep(0.001)


def test_a_killed_loader_ends_the_run_with_one_sentence_and_frees_everything(
    tmp_path: Path,
) -> None:
    stored = stored_network(tmp_path)
    killer = threading.Thread(target=kill_when_there, args=("pipeload loader 1",))
    killer.start()
    live = LiveBytes()
    slow = Throttle(60_000, 30_000)
    with pytest.raises(PipeloadError, match=r"loader 1 (died at|ended before)") as failure:
        run_streamed(stored, network(), inputs(), loaders=2, throttle=slow, live_bytes=live)
    killer.join()
    assert "\n" not in str(failure.value)
    assert nothing_left(live)


def test_a_module_that_fails_stops_the_loaders_and_frees_everything(tmp_path: Path) -> None:
    class Failing(nn.Linear):
        calls = 0

        def forward(self, input: Tensor) -> Tensor:
            Failing.calls += 1
            if Failing.calls > 1:  # the first call finds out how much memory it needs
                raise ArithmeticError("no more")
            return super().forward(input)

    modules = [*network()[:4], Failing(32, 32), *network()[4:]]
    stored = stored_network(tmp_path, modules)
    live = LiveBytes()
    with pytest.raises(ArithmeticError, match="no more"):
        run_streamed(stored, modules, inputs(), loaders=3, live_bytes=live)
    assert nothing_left(live)


def test_files_of_other_modules_are_refused(tmp_path: Path) -> None:
    stored = stored_network(tmp_path)
    with pytest.raises(LayerFileError, match=r"part-0002.* does not fit .*'0.bias' is .*\(64,\)"):
        run_streamed(stored, network((48, 65, 200, 64, 16, 96)), inputs())
    with pytest.raises(LayerFileError, match="holds 8 parts, but 7 modules"):
        run_streamed(stored, network()[1:], inputs())


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"loaders": 0}, "loaders is 0: it must be a whole number >= 1"),
        ({"strategy": "all"}, "strategy is 'all': use one of pipeload"),
    ],
)
def test_bad_options_get_one_sentence(tmp_path: Path, how: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run_streamed(stored_network(tmp_path), network(), inputs(), **how)


def test_a_throttled_disk_is_no_faster_than_it_is_said_to_be(tmp_path: Path) -> None:
    stored = make_demo(tmp_path / "demo", layers=4, width=64, heads=2, vocabulary=64, sequence=8)
    modules, x = skeletons(stored), demo_inputs(stored)
    sizes = [part.bytes for part in stored.parts if not part.resident]
    throttle = Throttle(bandwidth=max(sizes) / 0.005, per_reader=max(sizes) / 0.01)
    profile = profile_layers(stored, modules, x, repeats=1, throttle=throttle)
    for layer, size in zip(profile.model.layers, sizes, strict=True):
        assert layer.load >= size / throttle.per_reader
        assert layer.compute > 0
    assert profile.disk.saturation >= 1
    runs = measured_runs(
        stored,
        modules,
        x,
        options={
            "streamed": StreamOptions(loaders=4),
            "kept": StreamOptions(strategy="keep"),
            "everything": StreamOptions(strategy="load-all"),
        },
        disk=Disk(4),
        repeats=1,
        throttle=throttle,
    )
    assert runs["streamed"].latency >= sum(sizes) / throttle.bandwidth
    for name in ("kept", "everything"):
        assert runs[name].latency >= sum(sizes) / throttle.per_reader
    # Whatever this machine measured: four readers at full speed have no layer later than one has.
    streamed, kept, everything = (run.simulated for run in runs.values())
    assert streamed <= kept <= everything
    assert streamed < everything
    reference = resident_output(stored, modules, x)
    assert all(torch.equal(run.run.output, reference) for run in runs.values())


def test_the_measured_trace_draws_like_the_simulated_one(tmp_path: Path) -> None:
    run = run_streamed(stored_network(tmp_path), network(), inputs(), loaders=2)
    assert run.trace.origin == "measured"
    assert 0 < latency(run.trace) <= run.latency
    assert (run.trace.ops["start"] >= run.trace.ops["arrived"]).all()
    assert run.trace.memory["live"].iloc[-1] == run.model.resident_bytes
    names = {bar.name for bar in streaming_figure(run.trace).data}
    assert names == {"waiting for memory", "loading", "computing", "memory"}
