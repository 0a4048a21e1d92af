"""Streamed inference, simulated: laws, published memory, memory grants, the shared disk, plans."""

from __future__ import annotations

import doctest
import json
import math
import runpy
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import streaming_laws
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_laws import (
    limited_latency,
    load_all_latency,
    reserved_memory,
    streamed_latency,
    waiting_memory,
)

from sim.base.numbers import exact
from sim.cli.commands import main
from sim.metrics.metrics import makespan, peak_bytes
from sim.pipeload import (
    SHAPES,
    Disk,
    Layer,
    MemoryLimitTooSmall,
    StreamedModel,
    best_plan,
    disk_of,
    equal_layers,
    latency,
    model_from_json,
    model_to_json,
    plans,
    shaped,
    stream,
    waiting_peak,
)
from sim.pipeload.plot import streaming_figure
from sim.pipeload.sizes import typed_bytes
from sim.pipeload.svg import streaming_svg

ROOT = Path(__file__).parents[3]
PUBLISHED = json.loads((ROOT / "validation/data/relatives.json").read_text())["pipeload"]["memory"]
SIZES = list(product((1, 2, 5, 8, 12), (1, 2, 3, 4, 7), (1, 3, 10, 24), (0, 1, 2, 7)))


def test_the_laws_hold_their_own_examples() -> None:
    assert doctest.testmod(streaming_laws) == (0, 2)  # failed, tried


def test_latency_without_a_limit_follows_the_law() -> None:
    for n_layers, loaders, load, compute in SIZES:
        model = equal_layers(n_layers, load=load, compute=compute)
        assert latency(stream(model, loaders=loaders)) == streamed_latency(
            n_layers, loaders, load, compute
        ), (n_layers, loaders, load, compute)


def test_latency_with_room_for_one_layer_per_loader_follows_the_law() -> None:
    for n_layers, loaders, load, compute in SIZES:
        if n_layers % loaders == 0:
            model = equal_layers(
                n_layers, load=load, compute=compute, layer_bytes=7, resident_bytes=5
            )
            trace = stream(model, loaders=loaders, memory_limit=5 + 7 * loaders)
            assert latency(trace) == limited_latency(n_layers, loaders, load, compute)


def test_the_baselines_follow_their_laws() -> None:
    for n_layers, load, compute in {(n, load, compute) for n, _, load, compute in SIZES}:
        model = equal_layers(n_layers, load=load, compute=compute)
        everything = stream(model, strategy="load-all")
        assert latency(everything) == load_all_latency(n_layers, load, compute)
        assert makespan(everything) == n_layers * compute
        kept = latency(stream(model, strategy="keep"))
        assert kept == (n_layers * load + compute if compute <= load else load + n_layers * compute)


def test_memory_follows_both_laws_while_the_disk_decides() -> None:
    for n_layers, loaders, load, compute in SIZES:
        if 0 < loaders * compute <= load and loaders <= n_layers:
            model = equal_layers(
                n_layers, load=load, compute=compute, layer_bytes=7, resident_bytes=5
            )
            trace = stream(model, loaders=loaders)
            assert waiting_peak(trace) == waiting_memory(5, 7, loaders)
            assert peak_bytes(trace)[0] == reserved_memory(5, 7, loaders, n_layers)


@pytest.mark.parametrize(
    ("name", "row"), [("bert-large", "bert-large fp32"), ("gpt-j", "gpt-j fp16")]
)
def test_published_memory_follows_from_the_shapes_within_a_point(name: str, row: str) -> None:
    for loaders, published in PUBLISHED[row].items():
        model = shaped(name, load=100, compute=3)
        share = waiting_peak(stream(model, loaders=int(loaders))) / model.bytes
        assert share == pytest.approx(published, abs=0.01)


def test_shapes_have_the_published_number_of_parameters() -> None:
    totals = {name: s.resident + s.n_layers * s.layer for name, s in SHAPES.items()}
    assert totals == {"bert-large": 334_092_288, "gpt-j": 6_050_882_784}


layers = st.lists(
    st.builds(
        Layer,
        bytes=st.integers(0, 50),
        load=st.one_of(st.integers(0, 9), st.floats(0, 9)),
        compute=st.one_of(st.integers(0, 9), st.floats(0, 9)),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=120, deadline=None)
@given(
    layers=layers,
    resident=st.integers(0, 30),
    loaders=st.integers(1, 9),
    spare=st.integers(0, 60),
    saturation=st.sampled_from([1, 1.5, 3, math.inf]),
)
def test_no_order_of_agents_deadlocks_or_passes_the_limit(
    layers: list[Layer], resident: int, loaders: int, spare: int, saturation: float
) -> None:
    model = StreamedModel(tuple(layers), resident)
    limit = model.smallest_limit + spare
    disk = Disk(saturation)
    trace = stream(model, loaders=loaders, memory_limit=limit, disk=disk)
    assert trace.ops["stage"].tolist() == list(range(len(layers)))
    assert len(trace.transfers) == len(layers)
    assert trace.memory["live"].max() <= limit
    assert trace.memory["live"].iloc[-1] == resident
    assert trace.memory["time"].is_monotonic_increasing
    assert (trace.ops["start"] >= trace.ops["arrived"]).all()
    work = float(sum(exact(layer.compute) for layer in layers))
    reading = float(sum(exact(layer.load) for layer in layers))
    bound = max(work, reading / min(saturation, loaders))
    assert latency(trace) >= bound * (1 - 1e-12)
    slowest = latency(stream(model, memory_limit=model.smallest_limit, disk=disk))
    assert slowest <= (work + reading) * (1 + 1e-12)


def test_a_limit_below_the_largest_layer_is_refused_with_the_smallest_that_works() -> None:
    model = StreamedModel((Layer(10, 1, 1), Layer(30, 1, 1), Layer(20, 1, 1)), 5)
    with pytest.raises(MemoryLimitTooSmall) as refusal:
        stream(model, memory_limit=34)
    assert str(refusal.value) == (
        "memory limit is 34 bytes, but layer 1 takes 30 bytes beside the 5 that stay: "
        "the smallest limit that works is 35"
    )
    assert peak_bytes(stream(model, memory_limit=refusal.value.smallest))[0] == 35
    with pytest.raises(MemoryLimitTooSmall, match="the smallest limit that works is 65"):
        stream(model, memory_limit=64, strategy="keep")


def test_readers_share_a_saturated_disk_evenly() -> None:
    model = StreamedModel((Layer(1, 6, 0), Layer(1, 12, 0), Layer(1, 3, 0)))
    trace = stream(model, loaders=3, disk=Disk(1))
    # Three readers at a third of the speed until 9, then two at half until 15, then one.
    assert trace.transfers["end"].tolist() == [15, 21, 9]
    assert stream(model, loaders=3).transfers["end"].tolist() == [6, 12, 3]


def test_more_readers_help_until_the_disk_saturates() -> None:
    model = equal_layers(24, load=12, compute=0)
    times = [latency(stream(model, loaders=n, disk=Disk(4))) for n in (1, 2, 3, 4, 6, 8, 12)]
    assert times == [288, 144, 96, 72, 72, 72, 72]
    assert disk_of(400, 100) == Disk(4)
    assert disk_of(50, 100) == Disk(1)


def test_more_memory_never_slows_equal_layers_down() -> None:
    model = equal_layers(12, load=5, compute=2)
    for loaders in (1, 2, 3, 5):
        times = [
            latency(stream(model, loaders=loaders, memory_limit=room)) for room in range(1, 13)
        ]
        assert times == sorted(times, reverse=True)


def test_the_planner_takes_the_fewest_agents_of_the_fastest_plans() -> None:
    model = equal_layers(24, load=12, compute=1, layer_bytes=10, resident_bytes=5)
    table = plans(model, [14, 15, 65, 35, 1000], max_loaders=12, disk=Disk(4))
    assert table["memory_limit"].tolist() == [15, 35, 65, 1000]
    assert table["loaders"].tolist()[0] == 1
    assert table["latency"].is_monotonic_decreasing
    rows: Any = table.itertuples()
    for row in rows:
        every = [
            latency(stream(model, loaders=n, memory_limit=row.memory_limit, disk=Disk(4)))
            for n in range(1, 13)
        ]
        assert row.latency == min(every)
        assert row.loaders == 1 + every.index(min(every))
        assert row.versus_load_all == 24 * 13 / row.latency
        assert row.peak_bytes <= row.memory_limit
    assert best_plan(table, 64)["loaders"] == table["loaders"].tolist()[1]
    with pytest.raises(ValueError, match="no plan for 14 bytes: the smallest limit in the table"):
        best_plan(table, 14)
    with pytest.raises(MemoryLimitTooSmall, match="smallest limit that works is 15"):
        plans(model, [3, 14])


def test_a_profile_survives_json() -> None:
    model = StreamedModel((Layer(3, 0.25, 1, "a"), Layer(4, 1, 2)), 7, "mine")
    assert model_from_json(model_to_json(model)) == model
    with pytest.raises(ValueError, match="not a profile of layers"):
        model_from_json("{}")


def test_a_thirds_share_stays_exact() -> None:
    model = StreamedModel((Layer(1, Fraction(1, 3), Fraction(1, 3)),) * 3)
    assert latency(stream(model)) == float(Fraction(4, 3))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: stream(equal_layers(2), loaders=0), "loaders is 0: it must be a whole number"),
        (lambda: stream(equal_layers(2), strategy="all"), "strategy is 'all': use one of pipeload"),  # type: ignore[arg-type]
        (lambda: stream(equal_layers(2), memory_limit=math.nan), "memory limit is nan"),
        (lambda: StreamedModel(()), "model has no layers"),
        (lambda: Layer(-1, 1, 1, "x"), "bytes of layer x is -1: it must not be negative"),
        (lambda: Disk(0), "disk saturation is 0"),
        (lambda: shaped("bert", load=1, compute=1), "no shape 'bert': there are bert-large, gpt-j"),
    ],
)
def test_bad_input_gets_one_sentence(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()  # type: ignore[operator]


def test_the_picture_shows_every_load_and_every_computation() -> None:
    trace = stream(equal_layers(6, load=3, compute=1), loaders=2, memory_limit=3)
    figure = streaming_figure(trace, unit="s")
    by_name = {bar.name: bar for bar in figure.data}
    assert list(by_name["loading"].text) == list(by_name["computing"].text) == [*range(6)]
    assert set(by_name["loading"].y) == {"loader 0", "loader 1"}
    assert max(by_name["memory"].y) == 3


def test_the_still_picture_shows_every_load_and_is_the_one_of_the_page() -> None:
    trace = stream(equal_layers(6, load=3, compute=1), loaders=2, memory_limit=3)
    picture = ElementTree.fromstring(streaming_svg(trace, title="a < b"))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(text for text in texts if text and text.isdigit()) == sorted("012345" * 2)
    assert {"a < b", "loader 0", "loader 1", "inference", "memory"} <= set(texts)
    page = runpy.run_path(str(ROOT / "docs" / "relatives.py"))
    assert page["PICTURE"].read_text() == page["picture"](), "run python docs/relatives.py"


def test_examples_on_the_page_of_the_relatives_run() -> None:
    found = doctest.testfile(str(ROOT / "docs" / "relatives.md"), module_relative=False)
    assert found.attempted > 20
    assert found.failed == 0


def test_the_command_plans_and_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    limits = ["--memory-limit", "400000000", "--memory-limit", "200000000"]
    assert main(["pipeload", "bert-large", *limits, "--html", str(page), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["memory_limit"], row["loaders"]) for row in rows] == [
        (200000000, 1),
        (400000000, 5),
    ]
    assert "plotly" in page.read_text()
    profile = tmp_path / "layers.json"
    profile.write_text(model_to_json(equal_layers(4, load=3, compute=1)))
    assert main(["pipeload", str(profile), "--loaders", "2", "--saturation", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["latency"] == 14
    assert main(["pipeload", "bert-large", "--memory-limit", "4"]) == 1
    assert "the smallest limit that works is 177516544" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "number"),
    [("4096", 4096), ("64MB", 64_000_000), ("1.5GiB", 3 << 29), ("2 t", 2 * 10**12), ("0.1k", 100),
     ("20MB/s", 20_000_000), ("1e6", 10**6), (str(2**63 + 1), 2**63 + 1)],
)  # fmt: skip
def test_bytes_are_read_as_people_type_them(text: str, number: int) -> None:
    assert typed_bytes(text, "--memory-limit") == number


@pytest.mark.parametrize("text", ["lots", "nan", "inf", "infMB", "1XB", "MB", "", "1kk", "--"])
def test_what_is_no_number_of_bytes_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--memory-limit is .*: give bytes, e\.g\. 4096, 64MB"):
        typed_bytes(text, "--memory-limit")


def test_a_limit_that_no_plan_fits_is_not_dropped_in_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = ["--memory-limit", "400MB", "--memory-limit", "1kB"]
    assert main(["pipeload", "bert-large", *limits, "--json"]) == 0
    told = capsys.readouterr()
    assert [row["memory_limit"] for row in json.loads(told.out)] == [400_000_000]
    assert told.err == "no plan for 1000 bytes: 177516544 is the smallest limit\n"
    assert main(["pipeload", "none.json"]) == 1
    assert "none.json: no such file; other than files there are bert" in capsys.readouterr().err
