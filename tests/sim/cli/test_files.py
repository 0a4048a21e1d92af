"""Files that commands write are read back, and files of others are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_answers import TIMES, answer, complaint

import sim
from sim.cli.commands import main


@pytest.mark.parametrize("family", ["1f1b", "zb-v", "interleaved"])
def test_exported_files_are_read_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, family: str
) -> None:
    csv, own, events = (tmp_path / name for name in ("a.csv", "b.json", "c.trace"))
    files = ["--torch-csv", str(csv), "--schedule-json", str(own), "--perfetto", str(events)]
    assert main(["export", family, "-p", "4", "-m", "8", *files, "--unit", "ms"]) == 0
    capsys.readouterr()
    schedule = sim.FAMILIES[family](4, 8)
    assert sim.read_torch_csv(csv).orders == schedule.orders
    assert sim.from_json(own.read_text()) == schedule
    assert json.loads(events.read_text())["traceEvents"]
    for path in (csv, own):
        assert main(["check", str(path)]) == 0
        assert "can run" in capsys.readouterr().out
        assert answer(capsys, "simulate", str(path), *TIMES)["makespan"] == sim.makespan(
            sim.simulate(
                schedule,
                sim.Costs.uniform(schedule, forward=10, backward=12, weight=8, send=1),
            )
        )


def test_export_prints_the_grid_or_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "1f1b", "-p", "2", "-m", "2"]) == 0
    assert capsys.readouterr().out.strip() == str(sim.FAMILIES["1f1b"](2, 2))
    assert main(["export", "1f1b", "-p", "2", "-m", "2", "--json"]) == 0
    assert sim.from_json(capsys.readouterr().out) == sim.FAMILIES["1f1b"](2, 2)


def test_check_summarises(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_text("0F0,0I0,0W0\n1F0,1B0\n")
    found = answer(capsys, "check", str(path))
    assert found["passes"] == {"F": 2, "B": 1, "W": 1, "BW": 1}
    assert found["placement"] == [0, 1]


def test_two_files_of_one_name_are_told_apart_by_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / folder / "x.json") for folder in ("a", "b")]
    for path, family in zip(paths, ("1f1b", "zb-h1"), strict=True):
        Path(path).parent.mkdir()
        Path(path).write_text(sim.to_json(sim.FAMILIES[family](2, 4)).replace(family, "x"))
    assert main(["compare", *paths, "gpipe", "-p", "2", "-m", "4", "--json"]) == 0
    found = [row["schedule"] for row in json.loads(capsys.readouterr().out)]
    assert found == [*paths, "gpipe"]


def test_a_torch_file_cannot_hold_frozen_stages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    csv = tmp_path / "frozen.csv"
    assert main(["export", "1f1b", "-p", "2", "-m", "2", "--frozen", "0", "--torch-csv", str(csv)])
    assert "stage 0 trains nothing, which a torch CSV cannot do" in capsys.readouterr().err
    assert not csv.exists()
    path = tmp_path / "frozen.json"
    main(["export", "1f1b", "-p", "2", "-m", "2", "--frozen", "0", "--schedule-json", str(path)])
    assert not main(["check", str(path)])


def test_a_file_of_a_schedule_that_offloads_is_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "away.json")
    main(["export", "1f1b", "-p", "2", "-m", "6", "--offload", "0", "--host-bandwidth", "1",
          "--schedule-json", path])  # fmt: skip
    capsys.readouterr()
    assert main(["check", path]) == 0
    told = capsys.readouterr().out
    assert "stage 0 offloads activations to host memory" in told
    assert "in shares: it depends on times" in told
    assert answer(capsys, "simulate", path)["makespan"] == 21  # copies take no time, as sends do
    profile = tmp_path / "costs.json"
    profile.write_text(sim.costs_to_json(sim.Costs.of(2, forward=1, backward=1, weight=1)))
    assert main(["simulate", path, "--profile", str(profile)]) != 0
    assert "1f1b offloads: add --host-bandwidth" in capsys.readouterr().err
    assert main(["simulate", path, "--host-bandwidth", "2"]) == 0


def test_check_reads_what_people_paste(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pasted = tmp_path / "pasted.txt"
    pasted.write_text("[0F0, 0F1, None, 0I0, 0W0, 0B1]\n[None, 1F0, 1B0, 1F1, 1B1]\n")
    found = answer(capsys, "check", str(pasted))
    assert (found["devices"], found["passes"]) == (2, {"F": 4, "B": 1, "W": 1, "BW": 3})
    assert found["notes"] == []
    older = tmp_path / "older.csv"
    older.write_text("0F0,0B0,0W0\n")
    assert "older versions of torch" in answer(capsys, "check", str(older))["notes"][0]
    assert main(["simulate", str(older), "--json"]) == 0
    assert "older versions of torch" in capsys.readouterr().err


def test_families_of_two_directions_are_played_and_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = answer(capsys, "simulate", "dualpipe", "-p", "4", "-m", "8")
    assert found["makespan"] == 24 + 2
    assert found["peak_activations"] == [5] * 4
    path = str(tmp_path / "chimera.json")
    main(["export", "chimera", "-p", "4", "-m", "4", "--schedule-json", path])
    capsys.readouterr()
    assert answer(capsys, "check", path)["microbatches"] == 4
    code, err = complaint(capsys, "export", "dualpipe", "-p", "4", "-m", "8", "--torch-csv",
                          str(tmp_path / "x.csv"))  # fmt: skip
    assert code
    assert "microbatches take 2 routes, which a torch CSV cannot do" in err
