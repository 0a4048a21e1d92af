"""Measurement: exact live bytes, predicted peaks, and times that add up."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from local_engine import RUNNABLE
from torch import nn

import sim
from backend.live_bytes import LiveBytes, static_tensors, storage_bytes
from backend.measure.passes import Passes, measured_passes, pass_table
from backend.stages.transformer import Block, Chain, Model, tokens, transformer_stages
from backend.threads.run import run

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "vocabulary": 17, "sequence": 8}


def test_live_bytes_count_storages_while_they_live_and_views_not_at_all() -> None:
    live = LiveBytes()
    with live.counting():
        a = torch.zeros(100)
        b = a.view(10, 10)
        assert live.now == 400
        c = a + 1
        assert live.now == 800
    d = a + 1  # not watched
    del a
    assert live.now == 800
    del b
    assert live.now == 400
    del c, d
    assert (live.now, live.peak) == (0, 800)


def test_the_first_count_of_a_process_is_like_all_others_and_needs_no_compiler() -> None:
    """Importing torch's compiler takes longer than a small run, and neither counting nor a model
    without weights has a use for it."""
    code = (
        "import gc, sys, torch, backend, backend.live_bytes as b\n"
        "gc.disable()\n"
        "model = backend.Model((0, 0), width=8, heads=2)\n"
        "stage, batch = backend.transformer_stages(model)[0], backend.tokens(model, 1)[0]\n"
        "def go():\n"
        "    live = b.LiveBytes([*b.static_tensors(stage), batch])\n"
        "    with live.counting(), torch.no_grad():\n"
        "        stage(batch)\n"
        "    return live.now\n"
        "with torch.device('meta'):\n"
        "    backend.transformer_stages(model)\n"
        "print(go(), go(), 'torch._dynamo' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.stdout.split() == ["0", "0", "False"], done.stderr


def test_live_bytes_count_what_only_a_graph_holds() -> None:
    live, x = LiveBytes(), torch.zeros(50, requires_grad=True)
    with live.counting():
        y = x.exp()
        z = y.sum()
        del y
        assert live.now == 200 + 4
        z.backward()
        assert live.now == 200 + 4  # the saved result is gone, the gradient of x is there
        x.grad = None
    del z
    assert live.now == 0


def test_weights_are_static_and_tensors_can_be_adopted_and_given_away() -> None:
    layer = nn.Linear(4, 4)
    live, other = LiveBytes(static_tensors(layer)), torch.zeros(25)
    with live.counting():
        views = layer.weight.t(), layer.bias[:2]
    assert (len(views), live.now) == (2, 0)
    live.add([other, other[:3], None])
    assert live.now == 100
    live.remove([other[1:]])
    assert live.now == 0
    del other
    assert live.now == 0
    assert storage_bytes([layer.weight, layer.weight.t(), None]) == 64


def test_live_bytes_are_those_of_one_thread() -> None:
    live, kept = LiveBytes(), []
    with live.counting():
        thread = threading.Thread(target=lambda: kept.append(torch.zeros(10)))
        thread.start()
        thread.join()
    assert (len(kept), live.now) == (1, 0)


def one_microbatch(n_stages: int, **sizes: object) -> tuple[list[nn.Module], Model]:
    model = Model(layers=(1,) * n_stages, **{**SMALL, **sizes})
    return transformer_stages(model), model


@functools.cache
def passes(n_stages: int, n_slices: int, split: Any = "deferred") -> Passes:
    stages, model = one_microbatch(n_stages)
    batch, targets = tokens(model, 2)
    return measured_passes(
        stages, batch, targets=targets, n_slices=n_slices, split=split, steps=1, warmup=0
    )


@pytest.mark.parametrize("p", [2, 4])
@pytest.mark.parametrize(
    "name",
    [n for n, one in RUNNABLE.items() if not one(4, 8).copies and not one(4, 8).vocabulary],
)  # test_bytes has those of copies, whose peaks are of a clock, and of parts of the vocabulary
def test_predicted_peak_bytes_are_the_measured_ones(name: str, p: int) -> None:
    schedule = sim.FAMILIES[name](p, p + 3)  # zb-h2 begins with 2p - 1
    stages, model = one_microbatch(schedule.n_stages)
    batch, targets = tokens(model, 2 * schedule.n_microbatches)
    costs = passes(schedule.n_stages, schedule.n_slices).costs()
    predicted = sim.peak_bytes(sim.simulate(schedule, costs))
    measured = run(schedule, stages, batch, targets=targets)
    for mine, real, inside in zip(predicted, measured.peak_bytes, measured.most_bytes, strict=True):
        assert mine == pytest.approx(real, rel=0.01)
        assert inside >= real
    assert all(size > 0 for size in measured.static_bytes)


def test_native_peaks_are_predicted_too_and_b_keeps_more_than_f_left() -> None:
    schedule = sim.FAMILIES["zb-h1"](3, 7)
    stages, model = one_microbatch(3)
    batch, targets = tokens(model, 14)
    costs = passes(3, 1, "native").costs()
    predicted = sim.peak_bytes(sim.simulate(schedule, costs))
    measured = run(schedule, stages, batch, targets=targets, split="native").peak_bytes
    assert measured == pytest.approx(predicted, rel=0.01)
    deferred = passes(3, 1).costs()
    assert costs.change("B", 1) > 0.2 * costs.change("F", 1)
    assert deferred.change("B", 1) <= 0.05 * deferred.change("F", 1)


@pytest.mark.parametrize(("name", "share"), [("v-half", 3 / 4), ("v-min", 1 / 2), ("v-zb", 1)])
def test_measured_peaks_of_the_v_family_stand_to_1f1b_as_the_paper_says(
    name: str, share: float
) -> None:
    """Transformer blocks only, two on every device, so that all shares are equal."""

    def peak(schedule: sim.Schedule, blocks: int) -> int:
        model = Model(layers=(1,), **SMALL)
        stages: list[nn.Module] = [
            Chain([Block(model) for _ in range(blocks)]) for _ in range(schedule.n_stages)
        ]
        batch = torch.randn(2 * schedule.n_microbatches, 8, 16)
        result = run(schedule, stages, batch, loss_fn=lambda out, _: out.square().mean())
        return result.peak_bytes[0]

    whole = peak(sim.FAMILIES["1f1b"](4, 8), 2)
    # within 2 %: the input of the first stage is data, which is not counted
    assert peak(sim.FAMILIES[name](4, 8), 1) / whole == pytest.approx(share, rel=0.02)


def test_signed_bytes_of_f_b_w_add_up_to_nothing() -> None:
    table = passes(4, 1).table.pivot_table("bytes", "stage", "kind")
    assert (table["F"] + table["B"] + table["W"] == 0).all()
    assert (table["F"] + table["BW"] == 0).all()
    assert (passes(4, 1).table["most"] > 0).all()


def test_every_pass_has_its_median_spread_and_count() -> None:
    stages, model = one_microbatch(2)
    batch, targets = tokens(model, 2)
    found = measured_passes(stages, batch, targets=targets, steps=3, warmup=1)
    table = found.table.set_index(["stage", "kind"])
    assert set(table.index) == {(stage, kind) for stage in (0, 1) for kind in ("F", "B", "W", "BW")}
    assert (table["seconds"] > 0).all()
    assert (table["spread"] >= 0).all()
    assert table.loc[(0, "F"), "count"] == 6  # in the runs with BW, and with B and W
    assert table.loc[(0, "B"), "count"] == 3
    assert found.group_scale > 0
    assert found.boundary_bytes == ((2 * 8 * 16 * 4,),)
    costs = found.costs()
    assert costs.forward[1][0] == pytest.approx(table.loc[(1, "F"), "mean"])
    assert costs.fused_backward is not None
    assert found.costs(clock="cpu").forward[0][0] > 0


def test_a_table_comes_from_any_run() -> None:
    schedule = sim.FAMILIES["v-half"](2, 3)
    stages, model = one_microbatch(4)
    batch, targets = tokens(model, 6)
    result = run(schedule, stages, batch, targets=targets, steps=2)
    table = pass_table(result.traces)
    assert len(table) == 4 * 3
    assert (table["count"] == 6).all()


def test_slices_have_costs_of_their_own() -> None:
    costs = passes(4, 2).costs()
    assert len(costs.forward[0]) == 2
    assert costs.change("F", 1, 1) > costs.change("F", 1, 0)  # later slices see more keys
