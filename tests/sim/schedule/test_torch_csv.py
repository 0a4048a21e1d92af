"""torch's CSV: written only when torch would run it right, read only when every cell is a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import FAMILIES, InvalidSchedule, Op, Schedule, mechanisms, read_torch_csv, write_torch_csv
from sim.base.files import write_text_atomically
from sim.schedule.torch_csv import from_torch_csv, to_torch_csv, torch_cell, torch_file
from sim.testing import schedules


def test_every_kind_has_the_letter_torch_gives_it() -> None:
    assert [torch_cell(Op(kind, 3, 12)) for kind in ("F", "B", "W", "BW")] == [
        "3F12", "3I12", "3W12", "3B12",
    ]  # fmt: skip


def test_a_split_v_schedule_is_written_row_by_row() -> None:
    schedule = Schedule(
        placement=(0, 1, 1, 0),
        orders=(
            (Op("F", 0, 0), Op("F", 3, 0), Op("B", 3, 0), Op("W", 3, 0), Op("BW", 0, 0)),
            (Op("F", 1, 0), Op("F", 2, 0), Op("BW", 2, 0), Op("BW", 1, 0)),
        ),
        n_microbatches=1,
    )
    assert to_torch_csv(schedule) == "0F0,3F0,3I0,3W0,0B0\n1F0,2F0,2B0,1B0\n"
    assert from_torch_csv(to_torch_csv(schedule), name="schedule") == schedule


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_what_is_written_is_read_back_but_for_its_name_and_its_fused_steps(
    schedule: Schedule,
) -> None:
    if schedule.n_slices > 1:
        with pytest.raises(ValueError, match=r"slices, for which a torch CSV has no cells"):
            to_torch_csv(schedule)
        return
    if mechanisms(schedule):
        return
    found = from_torch_csv(to_torch_csv(schedule), name=schedule.name)
    assert found == replace(schedule, fused=())


@settings(max_examples=100, deadline=None)
@given(schedules().filter(lambda found: found.n_slices == 1 and not mechanisms(found)), st.data())
def test_idle_cells_spaces_and_line_ends_change_nothing(
    schedule: Schedule, data: st.DataObject
) -> None:
    rows = [[f" {torch_cell(op)}" for op in order] for order in schedule.orders]
    for row in rows:
        row.insert(data.draw(st.integers(0, len(row))), data.draw(st.sampled_from(("", "  "))))
    text = "\r\n".join(",".join(row) for row in rows) + "\r\n\r\n"
    assert from_torch_csv(text, name=schedule.name) == replace(schedule, fused=())


GOOD = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("1B0", "1B0garbage"), "row 2, column 2: '1B0garbage' is not a pass"),
        (
            GOOD.replace("1B0", "1X0"),
            "'1X0' is not a pass: expected stage, one of",
        ),
        (GOOD.replace("0F1", "0F"), "row 1, column 2: '0F' is not a pass"),
        (GOOD.replace("0F1", "F1"), "row 1, column 2: 'F1'"),
        (GOOD.replace("0F1", "0F1 0F1"), "row 1, column 2: '0F1 0F1'"),
        (GOOD.replace("0F1", "-1F1"), "row 1, column 2: '-1F1'"),
        (GOOD.replace("0F1", "0F\u0661"), "is not a pass"),
        (GOOD.replace("0F1", "0f1"), "row 1, column 2: '0f1' is not a pass"),
        (GOOD.replace("0F1", "F1@0"), "row 1, column 2: 'F1@0' is not a pass"),
        (GOOD.replace("0F1", "0F" + "9" * 5000), "999...' is not a pass"),
        (GOOD.replace("0F1", "0SEND_F1"), "0SEND_F1 sends to rank 1, where no 1RECV_F1 is"),
        (GOOD.replace("0F1", "0UNSHARD"), "F1@0 is missing"),
        (GOOD.replace("0F1", "0WAIT1"), "'0WAIT1' is not a pass: expected stage, one of F I W B"),
        (GOOD.replace(",", ";"), "row 1, column 1: '0F0;0F1;0B0;0B1' is not a pass"),
        ("rank,step\n" + GOOD, "row 1, column 1: 'rank' is not a pass"),
        (GOOD.replace("1F0", "0F0"), "row 2, column 1: '0F0' puts stage 0 on rank 1, but row 1"),
        ("", "the file is empty"),
        (" \n\n ", "the file is empty"),
        ("\n" + GOOD, "row 1 has no pass"),
        (",,\n" + GOOD, "row 1 has no pass"),
        ("1F0,1B0\n", "stage 0 is in none of the 1 rows, though stage 1 is in row 1"),
        ("0F0,3F0,3B0,0B0\n", "stage 1 is in none of the 1 rows, though stage 3"),
        ('0F0,"0B0', "is not CSV"),
        (GOOD[:-5], "BW1@1 is missing"),
        (GOOD[:-3], "row 2, column 4: '1' is not a pass"),
        (GOOD.replace("0B1", "0B0"), "BW0@0 is also at position 2"),
        (GOOD.replace("1B0,1F1", "1F1,1B0").replace("0F1,0B0", "0B0,0F1"), "deadlock: BW0@0 waits"),
        ("0F1,0F0,0B0,0B1\n", "the last stage goes in microbatch order"),
        ("0F0,0W0,0I0\n", "W0@0 comes before B0@0"),
        ("0F0,0I0\n", "W0@0 is missing"),
        ("0F999999999,0B999999999\n", "F0@0 is missing"),
        ("999999999F0\n", "stage 0 is in none"),
        ("(0F0;0B0)OVERLAP_F_B\n", "BW0@0 reads what F0@0 of the same fused step"),
        ("()OVERLAP_F_B\n", "'()OVERLAP_F_B' is not a pass"),
        ("(0F0;)OVERLAP_F_B\n", "is not a pass"),
        ("(0F0;0B0)\n", "is not a pass"),
    ],
)
def test_a_bad_file_gets_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^some file: ") as caught:
        from_torch_csv(text, name="some file")
    error = caught.value
    sentence = error.sentence if isinstance(error, InvalidSchedule) else str(error)
    assert words in sentence
    assert "\n" not in sentence
    assert len(sentence) < 300


def test_rows_that_went_missing_are_noticed_where_the_number_of_ranks_is_known() -> None:
    first_row = "0F0,0F1,0B0,0B1\n"
    assert from_torch_csv(first_row).n_devices == 1
    with pytest.raises(ValueError, match=r"the file has 1 rows, not one per rank \(2\)"):
        from_torch_csv(first_row, n_devices=2)


def test_torchs_overlapped_pair_is_a_fused_step() -> None:
    schedule = from_torch_csv("0F0,(0F1;0B0)OVERLAP_F_B,0B1\n")
    assert schedule.orders == ((Op("F", 0, 0), Op("F", 0, 1), Op("BW", 0, 0), Op("BW", 0, 1)),)
    assert schedule.fused == ((Op("F", 0, 1), Op("BW", 0, 0)),)


def test_fused_steps_are_written_as_neighbouring_cells() -> None:
    schedule = FAMILIES["dualpipe-v"](2, 6)
    assert schedule.fused
    assert from_torch_csv(to_torch_csv(schedule), name="dualpipe-v") == replace(schedule, fused=())


def test_a_schedule_torch_would_run_wrong_is_not_written(tmp_path: Path) -> None:
    good = FAMILIES["1f1b"](2, 3)
    last = good.orders[1]
    wrong_order = replace(good, orders=(good.orders[0], (*last[2:4], *last[:2], *last[4:])))
    path = tmp_path / "schedule.csv"
    with pytest.raises(InvalidSchedule, match="the last stage goes in microbatch order"):
        write_torch_csv(wrong_order, path)
    assert list(tmp_path.iterdir()) == []
    write_torch_csv(good, path)
    with pytest.raises(InvalidSchedule):
        write_torch_csv(wrong_order, path)
    assert read_torch_csv(path) == replace(good, name="schedule")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_text_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(ValueError, match=r"picture\.csv is not a text file"):
        read_torch_csv(path)


def test_a_byte_order_mark_is_no_part_of_the_first_cell(tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_torch_csv(path).n_devices == 2


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    with pytest.raises(IsADirectoryError):
        write_text_atomically(tmp_path, "text")
    with pytest.raises(FileNotFoundError):
        write_text_atomically(tmp_path / "no such folder" / "file", "text")
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_text_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.fixture(scope="module")
def torch_schedules() -> object:
    """torch's own module of schedules, where there is a torch to import."""
    return pytest.importorskip("torch.distributed.pipelining.schedules")


@pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if "slices" not in family.options]
)
@pytest.mark.parametrize(("p", "m"), [(2, 1), (2, 5), (4, 8)])
def test_torch_reads_what_we_write_and_can_place_its_messages(
    torch_schedules: Any, name: str, p: int, m: int
) -> None:
    schedule = FAMILIES[name](p, m)
    if mechanisms(schedule):
        with pytest.raises(ValueError, match="which a torch CSV cannot do: write it as JSON"):
            to_torch_csv(schedule)
        return
    from_str = torch_schedules._Action.from_str
    rows = dict(enumerate(to_torch_csv(schedule).splitlines()))
    actions = {rank: [from_str(cell) for cell in row.split(",")] for rank, row in rows.items()}
    ours = [[torch_cell(op) for op in order] for order in schedule.orders]
    assert [[repr(action) for action in row] for row in actions.values()] == ours
    homes = torch_schedules._validate_schedule(actions, p, schedule.n_stages, m)
    assert homes == dict(enumerate(schedule.placement))
    # torch orders the messages itself, and asserts that it gets to the end of every row.
    complete = torch_schedules._add_send_recv(
        actions, stage_to_rank=schedule.placement.__getitem__, num_stages=schedule.n_stages
    )
    assert [
        [repr(action) for action in row if action.is_compute_op] for row in complete.values()
    ] == ours


@pytest.mark.parametrize(
    ("name", "torchs"),
    [("zb-v", "ScheduleZBVZeroBubble"), ("dualpipe-v", "ScheduleDualPipeV")],
)
@pytest.mark.parametrize(("p", "m"), [(2, 4), (4, 10), (5, 16)])
def test_torchs_own_v_schedules_are_read_and_are_our_families(
    torch_schedules: Any, name: str, torchs: str, p: int, m: int
) -> None:
    build = getattr(
        getattr(torch_schedules, torchs, None), "_calculate_single_rank_operations", None
    )
    if build is None:
        pytest.skip(f"this torch has no {torchs} that lays out one rank")
    shape = SimpleNamespace(
        pp_group_size=p, n_local_stages=2, num_stages=2 * p, _num_stages=2 * p,
        n_microbatches=m, _n_microbatches=m,
    )  # fmt: skip
    cells = [
        ["" if action is None else repr(action) for action in build(shape, r)] for r in range(p)
    ]
    text = "".join(",".join(row) + "\n" for row in cells)
    assert from_torch_csv(text, name=name) == FAMILIES[name](p, m)


# -- what people have ---------------------------------------------------------------------------

COMMS = """0UNSHARD,0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD,0RESHARD
1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1
"""
TABLE = """         Rank 0  Rank 1
Step 0: 0F0
Step 1: 0F1     1F0
Step 2:         1B0
Step 3: 0B0     1F1     <-- ERROR HERE
Step 4:         1B1
Step 5: 0B1
"""
"""As torch's `_format_pipeline_order` aligns it."""


@pytest.mark.parametrize(
    "text",
    [
        COMMS,
        TABLE,
        TABLE.replace("         Rank", "Rank"),
        "[0F0, 0F1, None, 0B0, None, 0B1]\n[None, 1F0, 1B0, 1F1, 1B1]\n",
        "{0: [0F0, 0F1, 0B0, 0B1], 1: [1F0, 1B0, 1F1, 1B1]}",
        "[[0F0, 0F1, 0B0, 0B1], [1F0, 1B0, 1F1, 1B1]]",
        GOOD.replace("0B0", "None,0B0"),
        "Step 0: 0F0 1F0\nStep 1: 0F1 1B0\nStep 2: 0B0 1F1\nStep 3: 0B1 1B1\n",
    ],
)
def test_what_torch_writes_and_prints_is_read(text: str) -> None:
    assert from_torch_csv(text, name="csv") == from_torch_csv(GOOD, name="csv")


def test_overlapped_pairs_are_read_in_lists_and_tables_too() -> None:
    row = "0F0,(0F1;0B0)OVERLAP_F_B,0B1\n"
    known = from_torch_csv(row)
    assert from_torch_csv("[0F0, (0F1;0B0)OVERLAP_F_B, 0B1]") == known
    table = "Step 0: 0F0\nStep 1: (0F1;0B0)OVERLAP_F_B\nStep 2: 0B1\n"
    assert from_torch_csv(table) == known


def test_messages_are_held_against_the_passes_and_said_to_be_left_out() -> None:
    found = torch_file(COMMS)
    assert found.notes == (
        "its 8 messages fit the passes, and are left out",
        "what is no pass is left out: REDUCE_GRAD, RESHARD, UNSHARD",
    )
    assert torch_file(GOOD).notes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            COMMS.replace("1RECV_F1,", ""),
            "row 1, column 5: 0SEND_F1 sends to rank 1, where no 1RECV_F1 is",
        ),
        (
            COMMS.replace(",0SEND_F1", ""),
            "row 2, column 5: 1RECV_F1 waits for rank 0, where no 0SEND_F1 is",
        ),
        (
            COMMS.replace("1SEND_B0,", "").replace("0RECV_B0,", ""),
            "rank 1 never sends what BW0@1 writes to rank 0: 1SEND_B0 is missing",
        ),
        (
            COMMS.replace("1RECV_F0,1F0", "1F0,1RECV_F0"),
            "1RECV_F0 comes after the pass that reads what it receives",
        ),
        (
            COMMS.replace("0F1,0SEND_F1", "0SEND_F1,0F1"),
            "0SEND_F1 comes before the pass that writes what it sends",
        ),
        (COMMS.replace("0SEND_F0", "0SEND_F0,0SEND_F0"), "0SEND_F0 is there twice, also at row 1"),
        (COMMS.replace("1RECV_F0", "0RECV_F0"), "0RECV_F0 is about stage 0, which is not on"),
        (COMMS.replace("1SEND_B1", "1SEND_F1"), "1SEND_F1 is for stage 2, which is nowhere"),
    ],
)
def test_a_message_without_its_other_side_or_out_of_place_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^some file: ") as caught:
        from_torch_csv(text, name="some file")
    assert words in str(caught.value)


def test_torchs_own_messages_of_every_family_fit(torch_schedules: Any) -> None:
    for name in ("1f1b", "zb-h1", "v-half", "interleaved"):
        schedule = FAMILIES[name](4, 8)
        rows = dict(enumerate(to_torch_csv(schedule).splitlines()))
        actions = {
            rank: [torch_schedules._Action.from_str(cell) for cell in row.split(",")]
            for rank, row in rows.items()
        }
        table = torch_schedules._format_pipeline_order(actions)
        complete = torch_schedules._add_send_recv(
            actions, stage_to_rank=schedule.placement.__getitem__, num_stages=schedule.n_stages
        )
        text = "".join(",".join(map(repr, complete[rank])) + "\n" for rank in range(4))
        assert from_torch_csv(text, name=name) == replace(schedule, fused=())
        printed = "\n".join(map(str, complete.values()))
        assert from_torch_csv(printed, name=name) == replace(schedule, fused=())
        assert from_torch_csv(table, name=name) == replace(schedule, fused=())


def test_the_letters_of_older_torch_are_read_and_said() -> None:
    found = torch_file("0F0,0B0,0W0,0F1,0BW1\n")
    assert [op.kind for op in found.schedule.orders[0]] == ["F", "B", "W", "F", "BW"]
    assert found.notes[0].startswith("B is the input gradient here, as in older versions of torch")
    assert torch_file("0F0,0B0,0W0\n").notes
    (whole,) = torch_file("0F0,0BW0\n").notes
    assert whole.startswith("BW is the whole backward here, as in older versions of torch")
    assert not torch_file("0F0,0I0,0W0\n").notes
    with pytest.raises(ValueError, match="'0I1' is not a pass: expected stage, one of F B W"):
        torch_file("0F0,0B0,0W0,0F1,0I1,0BW1\n")


def test_the_row_with_a_stranger_is_blamed_not_the_first_that_lacks_it() -> None:
    """As in an order of torch's: the last of four rows counts microbatches from 1."""
    good = to_torch_csv(FAMILIES["1f1b"](4, 8)).splitlines()
    last = ",".join(f"3{kind}{i}" for i in range(1, 9) for kind in "FB")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the sentence is compared whole)
        from_torch_csv("\n".join([*good[:3], last]), name="order")
    assert str(caught.value) == (
        "order: row 4 has F8@3 and lacks F0@3: most stages have the microbatches 0-7"
    )


def test_a_table_whose_idle_places_cannot_be_told_is_refused() -> None:
    text = "Step 0: 0F0 1F0\nStep 1: 0B0\nStep 2: 0F1 1B0 1F1\n"
    with pytest.raises(ValueError, match=r"step 2 has 3 passes, and it cannot be told of which r"):
        from_torch_csv(text)
