"""Published runs as judge: what a table may hold, and what is said of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sim.planner.models import active_parameters, parameters
from validation.cli.commands import main
from validation.published import Row, group_table, judged, predict, questions, read_rows
from validation.published.floor import floor
from validation.published.measured import measured_seconds
from validation.published.predict import question
from validation.published.recipes import recipe
from validation.published.row import DATA
from validation.published.shapes import NAMED, model_of
from validation.published.split import is_fitted

SHAPE = {"layers": 8, "hidden": 1024, "heads": 16, "vocabulary": 32000}
CELLS = {
    "source": "mine", "model": "small", "gpu": "a100-80g", "n_gpus": "4", "tp": "1", "pp": "4",
    "vp": "1", "cp": "1", "ep": "1", "dp": "1", "mbs": "1", "gbs": "8", "seq": "1024",
    "precision": "bf16", "recompute": "none", "schedule": "1f1b", "measured": "1.0",
    "unit": "s/iter", "measured_s": "1.0", "measured_mem_gib": "", "mem_note": "", "missing": "",
    "detail": "complete", "attention": "flash", "zero": "1", "sp": "False", "cut": "even",
    "between": "", "gradient_bytes": "2.0", "bytes_per_parameter": "2+4+12", "clock": "makespan",
    "shape": json.dumps(SHAPE), "note": "",
}  # fmt: skip


def _row(**changed: str) -> Row:
    return Row({**CELLS, **changed})


def _table(path: Path, *rows: Mapping[str, str]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(CELLS))
        writer.writeheader()
        writer.writerows({**CELLS, **row} for row in rows)
    return str(path)


def test_an_error_is_predicted_throughput_over_measured_minus_one() -> None:
    seconds = predict(_row()).seconds
    assert seconds
    (found,) = judged([_row(measured="", measured_s=str(3 * seconds))])
    assert found.error == pytest.approx(2)  # predicted to be three times as fast


@pytest.mark.parametrize(
    ("unit", "measured", "seconds"),
    [
        ("s/iter", "2.5", 2.5),
        ("tokens/s/gpu", "512", 8 * 1024 / 4 / 512),
        ("samples/s/gpu", "4", 8 / 4 / 4),
        # Per token and layer 2 (4 h^2 + 3 * 4 h^2) for the weights and 4 s h for scores, and a head
        # of 2 h V: three times that per token, for 8 * 1024 tokens on 4 devices.
        ("MFU %", "50", 3 * (8 * (32 * 1024**2 + 4 * 1024**2) + 2 * 1024 * 32000) * 2048 / 156e12),
        ("model TFLOPs/gpu", "156",
         3 * (8 * (32 * 1024**2 + 4 * 1024**2) + 2 * 1024 * 32000) * 2048 / 156e12),
    ],
)  # fmt: skip
def test_seconds_follow_from_every_unit(unit: str, measured: str, seconds: float) -> None:
    row = _row(unit=unit, measured=measured, measured_s="")
    assert measured_seconds(row) == pytest.approx(seconds)


def test_hints_of_a_row_are_options_of_its_configuration() -> None:
    """Dropped tokens, Muon, and blocks beside each other, which reduce half as often."""
    shape = json.dumps(SHAPE | {"experts": {"count": 8, "per_token": 2, "ffn": 512}})
    assert question(_row(missing="FP8;token dropping", shape=shape))[1].capacity == 1
    assert question(_row(missing="FP8;Muon optimizer"))[1].optimizer == "muon"
    beside = _row(missing="parallel attention/MLP blocks", tp="2", pp="2")
    assert question(beside)[0].model.parallel == 1
    found, usual = predict(beside).seconds, predict(_row(tp="2", pp="2")).seconds
    assert found
    assert usual
    assert found < usual


@pytest.mark.parametrize(
    ("name", "total", "active"), [("Nemotron_3_Nano", 31.6, 3.6), ("Nemotron_3_Super", 120.6, 12.7)]
)
def test_shapes_that_tables_leave_out_are_known_by_name(
    name: str, total: float, active: float
) -> None:
    """Billions of parameters in the model cards: 31.6 and 3.6 active, with the embedding; 120.6 and
    12.7."""
    found = model_of(name, "")
    assert parameters(found) == pytest.approx(total * 1e9, rel=0.005)
    assert active_parameters(found) == pytest.approx(active * 1e9, rel=0.02)
    as_config = json.dumps(NAMED[name.lower()])
    assert parameters(model_of("else", as_config)) == parameters(found)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"gpu": "abacus"}, "device abacus"),
        ({"gpu": ""}, "device (empty)"),
        ({"schedule": "spiral"}, "schedule spiral"),
        ({"between": "string"}, "wire string"),
        ({"shape": ""}, "shape of the model"),
        ({"shape": "["}, "shape of the model"),
        ({"shape": json.dumps(SHAPE | {"towers": 3})}, "towers"),
        ({"shape": json.dumps({"layers": 8})}, "shape of a model"),
        ({"mbs": ""}, "mbs is not given"),
        ({"tp": "junk"}, "tp junk"),
        ({"tp": "1.5"}, "tp 1.5"),
        ({"cp": "0"}, "cp 0"),
        ({"dp": "x"}, "dp x"),
        ({"ep": "-1"}, "ep -1"),
        ({"gradient_bytes": "-2"}, "gradient_bytes -2"),
        ({"gradient_bytes": "nan"}, "gradient_bytes nan"),
        ({"zero": "7"}, "zero 7"),
        ({"sp": "maybe"}, "sp maybe"),
        ({"seq": "many"}, "seq many"),
        ({"n_gpus": "6"}, "6 devices"),
        ({"precision": "int4"}, "precision int4"),
        ({"bytes_per_parameter": "18"}, "bytes per parameter 18"),
        ({"attention": "telepathy"}, "attention"),
        ({"recompute": "twice"}, "recompute"),
        ({"cut": "crooked"}, "cut"),
        ({"clock": "sun dial"}, "clock sun dial"),
        ({"tp": "2", "dp": "", "n_gpus": "8", "shape": json.dumps(SHAPE | {"heads": 1})},
         "1 heads"),
        ({"gbs": "9", "n_gpus": "8", "dp": "2"}, "batch 9"),
        ({"measured_s": "-1"}, "measured_s -1: it must be greater than 0"),
        ({"measured_s": "0"}, "measured_s 0: it must be greater than 0"),
        ({"attention": ""}, "attention is not given, though detail is complete"),
        ({"recompute": ""}, "recompute is not given, though detail is complete"),
        ({"missing": "token dropping"}, "a capacity of 1 for a model without experts"),
        ({"shape": '{"model_type": "bert"}'}, "this shape of a model (model_type of small is"),
    ],
)  # fmt: skip
def test_what_a_row_lacks_is_named_and_nothing_is_predicted(
    changed: dict[str, str], word: str
) -> None:
    found = predict(_row(**changed))
    assert word in found.missing
    assert found.seconds is None
    assert found.memory_gib is None
    assert not found.refused


def test_empty_cells_stand_for_what_is_usual() -> None:
    names = ("vp", "cp", "ep", "dp", "precision", "recompute", "attention", "sp", "between",
             "gradient_bytes", "bytes_per_parameter", "clock", "detail", "note")  # fmt: skip
    assert predict(_row(**dict.fromkeys(names, ""))).seconds == predict(_row()).seconds


def test_only_memory_that_was_allocated_is_compared() -> None:
    memory = predict(_row()).memory_gib
    assert memory

    def compared(note: str) -> float | None:
        return judged([_row(measured_mem_gib=str(memory / 2), mem_note=note)])[0].memory_error

    assert compared("torch max_memory_allocated") == pytest.approx(1)
    assert compared("nvidia-smi") is None
    assert compared("whether reserved or allocated is not said") is None


def test_rows_that_failed_for_memory_are_counted_apart_from_rows_that_ran() -> None:
    huge = {"shape": json.dumps(SHAPE | {"hidden": 16384, "layers": 64})}
    table = group_table(
        judged([
            _row(**huge, measured="", measured_s="", note="OOM"), _row(**huge), _row(),
            _row(measured="out of memory", measured_s=""),
        ])
    )[0]  # fmt: skip
    assert (table["out_of_memory"], table["out_of_memory_refused"]) == (2, 1)
    assert (table["ran"], table["ran_but_refused"]) == (2, 1)


def test_a_run_whose_settings_were_not_printed_did_something_to_fit_unless_it_failed() -> None:
    """Weights and gradients of 32 layers of 4096, nearly nine billion at 6 bytes, with a quarter
    of the optimizer's 12, leave less of 80 GB than activations need: something was computed again
    or shared out."""
    large = {"shape": json.dumps(SHAPE | {"hidden": 4096, "layers": 32}), "pp": "1", "dp": "4"}
    told, assumed, failed = (
        predict(_row(**large, **more))
        for more in ({}, {"detail": "assumed"}, {"detail": "assumed", "measured": "OOM"})
    )
    assert told.refused
    assert failed.refused
    assert not assumed.refused


def test_regret_is_what_the_best_measured_one_gains_over_the_first_choice() -> None:
    # With eight microbatches 1F1B on four devices waits 3 of 11, GPipe as long: the cut decides.
    fast = _row(measured="3", measured_s="3")
    slow = _row(measured="2", measured_s="2", recompute="full")
    (question,) = questions(judged([fast, slow]))
    assert question.regret == pytest.approx(0.5)  # full recomputation is predicted to be slower
    assert (question.chosen.split()[-2], question.best.split()[-2]) == ("none", "full")
    assert questions(judged([fast, _row(gbs="16", recompute="full")])) == []


def test_a_run_repeated_in_another_release_stays_on_its_side_of_the_split() -> None:
    rows = read_rows(DATA)
    assert len(rows) == 409
    sides: dict[str, set[bool]] = {}
    for row in rows:
        if row.text("source").startswith("NVIDIA dgxc"):
            key = " ".join(row.text(name) for name in ("model", "tp", "n_gpus", "gbs", "precision"))
            sides.setdefault(key, set()).add(is_fitted(row))
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == {is_fitted(row) for row in rows}
    assert not is_fitted(_row())


def test_the_command_prints_one_object_with_rows_and_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _table(tmp_path / "runs.csv", {}, {"gpu": "abacus"}, {"recompute": "full"})
    assert main(["published", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"rows", "groups"}
    wanted = {*CELLS, "predicted_s", "predicted_mem_gib", "error", "refused", "missing"}
    assert all(wanted <= set(row) for row in found["rows"])
    assert [row["missing"] for row in found["rows"]] == ["", "device abacus", ""]
    assert {group["by"] for group in found["groups"]} >= {
        "source",
        "device",
        "pipeline",
        "schedule",
    }


def test_the_command_says_what_rows_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["published", _table(tmp_path / "runs.csv", {}, {"gpu": "abacus"})]) == 0
    assert "   1  device abacus" in capsys.readouterr().out


def test_a_table_without_a_column_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.csv").write_text("source,model\n")
    assert main(["published", str(tmp_path / "runs.csv")]) == 1
    assert "no column 'gpu'" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["NVIDIA dgxc-benchmarking 25.04", "SimuMax B200 v1.2"])
def test_the_page_of_figures_says_what_the_command_finds(source: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "published.md"
    some = [row for row in read_rows(DATA) if row.text("source") == source]
    table = group_table(judged(some))
    (found,) = [group for group in table if group["by"] == "source"]
    numbers = [found[name] for name in ("mean_absolute_error", "bias", "median", "worst")]
    told = " | ".join(f"{100 * number:.1f} %" for number in numbers)
    assert f"| {source} | {len(some)} | {found['expressed']} | {told} |" in page.read_text()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (
            {"measured": "1,234.5", "measured_s": ""},
            "measured 1,234.5: it must be a number greater",
        ),
        ({"measured": "-3", "measured_s": ""}, "measured -3: it must be a number greater than 0"),
        ({"unit": "furlongs", "measured_s": ""}, "unit furlongs"),
        ({"gbs": "2,048"}, "gbs 2,048"),
        ({"precision": "int8"}, "precision int8"),
    ],
)
def test_what_was_measured_in_no_known_way_is_counted_by_name(
    changed: dict[str, str], word: str
) -> None:
    (found,) = judged([_row(**changed)])
    assert found.prediction.missing.startswith(word)
    assert found.error is None


def test_tables_by_other_hands(tmp_path: Path) -> None:
    """Columns in another order, in capitals or with blanks; empty lines; a comma too many or too
    few; what is no such table is told in one sentence."""
    path = tmp_path / "runs.csv"
    names = list(CELLS)[::-1]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f" {name.upper()} " for name in names])
        writer.writerow([CELLS[name] for name in names])
        writer.writerow(["" for _ in names])
        writer.writerow([CELLS[name] for name in names] + ["more"])
        writer.writerow([CELLS[name] for name in names][:-3])
    rows = read_rows(path)
    n = len(names)
    assert [predict(row).missing for row in rows] == [
        "", f"{n + 1} cells in {n} columns", f"{n - 3} cells in {n} columns",
    ]  # fmt: skip
    assert predict(rows[0]) == predict(_row())
    with path.open("a") as file:
        file.write("those were all\n")
    with pytest.raises(ValueError, match=r"line 6 is no run: 'those were all' has neither model"):
        read_rows(path)
    path.write_bytes("source,caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match="is no text in UTF-8: save the table as CSV in UTF-8"):
        read_rows(path)
    path.write_text(",".join([*names, "gpu"]) + "\n")
    with pytest.raises(ValueError, match="has the column 'gpu' twice: leave one out"):
        read_rows(path)
    path.write_text(";".join(names) + "\n")
    with pytest.raises(ValueError, match=r"published_runs\.csv, separated by commas$"):
        read_rows(path)


def test_sources_say_what_a_row_leaves_out() -> None:
    """Megatron-DeepSpeed in both precisions, Nanotron with 32-bit gradients there and 16-bit
    weights back, Llama 3 with gradients shared out; and ZeRO 1, a plan's default, where nothing is
    said of it."""
    for precision, program in (("fp16", "fp16"), ("bf16", "bf16")):
        row = _row(source="BigScience 176B", precision=precision, between="opa")
        assert question(row)[1].program == f"megatron-deepspeed-{program}"
    for zero, size in (("1", 3), ("0", 4)):
        problem, c = question(_row(source="Nanotron / Ultra-Scale Playbook", zero=zero))
        assert (problem.gradient_bytes, c.program) == (size, "nanotron")
    assert question(_row(source="Llama 3 (2407.21783) table 4"))[1].zero == 2
    assert question(_row(zero=""))[1].zero == 1
    assert question(_row(zero="0"))[1].zero == 0
    opa = question(_row(source="BigScience 176B", between="opa"))[0].machine.between.bandwidth
    assert opa * 0.85 == pytest.approx(40.5e9 / 8 / 2)  # two devices share a card


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({"model": "DeepSeekV3", "gpu": "b200", "ep": "32"},
         {"program": "megatron-graphs-overlap"}),
        ({"model": "DeepSeekV3", "gpu": "b200", "ep": "8"}, {"program": "megatron-flex"}),
        ({"model": "qwen3-235b-a22b", "gpu": "gb300"}, {"program": "megatron-graphs"}),
        ({"model": "Qwen3_235B_a22B", "gpu": "h100"}, {"program": "megatron-overlap"}),
        ({"model": "gpt-oss-120b", "gpu": "b200"}, {"recompute": "elementwise"}),
        ({"model": "Nemotron_3_Nano", "gpu": "h100"},
         {"program": "megatron-flex", "recompute": "experts"}),
        ({"model": "LLAMA3_70B", "gpu": "gb200", "tp": "1", "pp": "1", "mbs": "2"},
         {"zero": 3, "offloaded": 40}),
        ({"model": "LLAMA3_70B", "gpu": "gb200", "tp": "2", "pp": "4"}, {}),
        ({"model": "DeepSeekV3", "gpu": "b200", "missing": "token dropping"}, {}),
        ({"model": "DeepSeekV3", "gpu": "b200", "source": "mine"}, {}),
    ],
)  # fmt: skip
def test_recipes_say_what_tables_leave_out(
    changed: dict[str, str], options: dict[str, object]
) -> None:
    assert recipe(_row(**{"source": "Megatron-Bridge 26.04", **changed})) == options


def test_a_configuration_that_was_measured_twice_leaves_an_error_to_every_model() -> None:
    """1 s and 1.5 s: who says 1.5 is right once and a third too slow once; who says 1 half too
    fast. A configuration that was measured once can be met."""
    both = [_row(measured="1", measured_s=""), _row(measured="1.5", measured_s="", source="later")]
    assert floor(judged(both)) == pytest.approx(1 / 3 / 2)
    assert floor(judged([*both, _row(gbs="16")])) == pytest.approx(1 / 3 / 3)
    assert floor(judged([_row(measured="", measured_s="")])) is None
    assert group_table(judged(both))[0]["floor"] == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"measured_s": "1.01"}, ""),
        ({"measured_s": "1.05"}, "measured_s 1.05: measured 1.0 s/iter is 1 s, another number by "
         "more than 2%: leave one of them empty"),
        ({"unit": "tokens/s/gpu", "measured": "2048"}, ""),  # 8 x 1024 tokens on 4 devices
        ({"unit": "ms/iter"}, "measured_s 1.0: measured 1.0 ms/iter is 0.001 s"),
        ({"unit": "samples/s/gpu"}, "measured_s 1.0: measured 1.0 samples/s/gpu is 2 s"),
        ({"unit": "MFU %", "measured": "1.0"}, "measured_s 1.0: measured 1.0 MFU % is "),
        ({"unit": "furlongs"}, ""),  # of which nothing is known
        ({"measured": "soon"}, "measured soon: it must be a number greater than 0"),
    ],
)  # fmt: skip
def test_seconds_and_a_rate_that_contradict_each_other_are_told(
    changed: dict[str, str], said: str
) -> None:
    (found,) = judged([_row(**changed)])
    assert found.prediction.missing.startswith(said)
    assert bool(said) == (found.error is None)


def test_rates_of_flops_may_count_more_than_ours_do() -> None:
    seconds = measured_seconds(_row(unit="MFU %", measured="50", measured_s=""))
    assert seconds
    rows = [
        _row(unit="MFU %", measured="50", measured_s=str(off * seconds)) for off in (1.08, 1.12)
    ]
    assert [v.error is None for v in judged(rows)] == [False, True]
