"""What cannot be planned is refused with a reason that helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from small_plans import MACHINE, SMALL

from sim.planner import Problem, Space, plan
from sim.planner.hardware import machine_of, with_memory


@pytest.mark.parametrize(
    ("space", "batch", "sentence"),
    [
        (Space(tensor=(3,)), 64, "tensor parallel size 3 does not divide 8 devices: .* does is 2"),
        (Space(data=(4,)), 30, "batch 30 is not divisible by data parallel size 4: .* 32"),
        (
            Space(microbatch=(7,)),
            64,
            "batch 64 is not divisible by microbatch 7: the nearest .* is 63, the nearest size 8",
        ),
        (Space(tensor=(4,), pipeline=(4,)), 64, "multiply to 16, which 8 .* that fits is 8"),
        (Space(tensor=(8,), expert=(2,)), 64, "a model without experts: use 1"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(space: Space, batch: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan(SMALL, MACHINE, sequence=1024, batch=batch, space=space)


def test_heads_that_tensor_parallelism_cannot_cut_name_the_nearest_size() -> None:
    odd = replace(SMALL, heads=6, kv_heads=6, hidden=576, head_width=96)
    with pytest.raises(ValueError, match=r"6 heads cannot be divided by tensor .* size 4: .* is 3"):
        plan(odd, MACHINE, sequence=1024, batch=64, space=Space(tensor=(4,)))


def test_a_model_that_does_not_fit_names_how_many_devices_could_do() -> None:
    with pytest.raises(
        ValueError, match=r"llama-3-405b does not fit 8xh100: .* 128 devices could do"
    ):
        plan("llama-3-405b", "8xh100", sequence=8192, batch=64)


def test_what_keeps_too_much_alive_says_how_much() -> None:
    with pytest.raises(
        ValueError, match=r"llama-3-8b does not fit 8xh100: .* at least 1\d\d\.. GiB"
    ):
        plan(
            "llama-3-8b", "8xh100", sequence=8192, batch=32, jobs=1,
            space=Space(schedules=("2bp-1f1b-2",), pipeline=(4,), tensor=(2,), microbatch=(1,),
                        recompute=("none",)),
        )  # fmt: skip


def test_schedules_of_slices_are_not_charged_for_whole_sequences() -> None:
    with pytest.raises(ValueError, match="seq1f1b cuts sequences into slices, which the cost"):
        Space(schedules=("seq1f1b",))


def test_what_plans_do_not_know_of_a_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="microbatches take 2 routes, which a plan cannot do"):
        Space(schedules=("dualpipe",))


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no model 'llama3-70b': did you mean llama-3-70b\? use"):
        plan("llama3-70b", "8xh100", sequence=8192, batch=64)
    nothing: Any = ()
    for empty in ("schedules", "recompute", "zero"):
        with pytest.raises(ValueError, match=f"{empty} is empty: name at least one"):
            Space(**{empty: nothing})
    with pytest.raises(ValueError, match="virtual is 1: interleaved has at least 2 per device"):
        Space(schedules=("interleaved",), virtual=(1,))
    for reserve in (-1, 1e12, float("nan")):
        with pytest.raises(ValueError, match=r"reserve is .* GB: use 0 up to less than .*\d GB"):
            Problem(SMALL, MACHINE, reserve=reserve)
    with pytest.raises(ValueError, match="cut is 'odd': use balanced, even, one-less or a layout"):
        Problem(SMALL, MACHINE, cut="odd")
    with pytest.raises(ValueError, match="jobs is 0: it must be a whole number >= 1"):
        plan(SMALL, MACHINE, sequence=1024, batch=64, jobs=0)
    with pytest.raises(ValueError, match=r"no model 'llama-9': use .* one of gpt-1.5b"):
        plan("llama-9", "8xh100", sequence=8192, batch=64)
    with pytest.raises(ValueError, match="no family '2f2b': there are gpipe, "):
        Space(schedules=("2f2b",))
    with pytest.raises(ValueError, match="sequence is 0"):
        plan(SMALL, MACHINE, sequence=0, batch=64)


def test_memory_refusals_say_how_much_is_missing() -> None:
    tight = with_memory(machine_of("8xh100"), 24 * 2**30)
    found = plan(
        "llama-3-8b", tight, sequence=4096, batch=64, top=None, jobs=1, reserve=0,
        space=Space(schedules=("1f1b", "v-half"), recompute=("none", "full")),
    )  # fmt: skip
    refused = found[found["status"] == "memory"]
    assert len(refused)
    assert refused["reason"].str.contains("of 24.0 GiB are free").all()
    assert (refused["memory_gib"] > 24).all()
    assert (found[found["status"] == "simulated"]["memory_gib"] <= 24).all()
