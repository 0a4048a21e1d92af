"""What a plan says of one published configuration, with what a user gets by default."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, cast, get_args

from sim.planner import Orders, Problem, estimate, peak_bytes, prepare, short, virtual_stages
from sim.planner.cost_model import Configuration, PerParameter
from sim.planner.cost_model.configuration import Vocabulary
from sim.schedule.clock import Clock

from .machine import machine
from .measured import unread
from .programs import gradients_kept, gradients_reduced, overlaps, program, shared_out
from .recipes import recipe
from .row import UNEVEN, Row
from .shapes import Missing, model

GIB = 2**30
_FAMILIES = {"zb (zbb)": "zb-h2", "zbb": "zb-h2"}
"""Names of the programs themselves; ZBB is a searched order at twice 1F1B's memory."""
_HINTS: dict[str, dict[str, Any]] = {
    "token dropping": {"capacity": 1.0},
    "Muon optimizer": {"optimizer": "muon"},
}
"""Features that no column but `missing` tells, as options of a configuration. Where tokens are
dropped, each expert is taken to have room for its even share, which is what such runs mostly set;
the tables do not say."""
ASSUMED: tuple[dict[str, Any], ...] = (
    {"recompute": "elementwise"},
    {"zero": 3},
    {"zero": 3, "recompute": "elementwise"},
    *({"recompute": "full", "recompute_layers": n} for n in (1, 2, 4, 8, 16, 32)),
    {"recompute": "full"},
    {"zero": 3, "recompute": "full"},
)
"""What runs whose settings were not printed may have done to fit, the least costly first; weights
are shared out only where there is no pipeline."""
_SPREAD = "vocabulary layers spread over all stages"


class Prediction(NamedTuple):
    """Seconds of an iteration and GiB of the fullest device; whether a plan refuses the row for
    memory; and what cannot be expressed, "" where everything can (numbers are None otherwise)."""

    seconds: float | None = None
    memory_gib: float | None = None
    refused: bool = False
    missing: str = ""


def predict(row: Row) -> Prediction:
    """Seconds and memory of the configuration that the row gives."""
    features = list(missing_features(row))
    if features:
        return Prediction(missing=";".join(features))
    try:
        problem, configuration = question(row)
        found = estimate(problem, prepare(problem, configuration), _orders())
    except (ValueError, ArithmeticError) as error:
        return Prediction(missing=str(error))
    return Prediction(found.seconds, found.memory / GIB, found.memory > problem.capacity)


def question(row: Row) -> tuple[Problem, Configuration]:
    """The row as a plan's problem and one of its configurations; `Missing` names what cannot be
    said, ValueError a value that makes no sense.

    Where the source does not print what is computed again and shared out, and what was assumed for
    it needs more memory than there is, the first of `ASSUMED` that fits is taken instead: the run
    did run.
    """
    problem, configuration = _told(row)
    if row.text("detail", "complete") == "complete" or row.ran_out_of_memory:
        return problem, configuration
    for changed in ({}, *ASSUMED):
        changed = {} if changed.get("zero") and configuration.pipeline > 1 else changed
        other = replace(configuration, **changed)
        if _memory(problem, other) <= problem.capacity:
            return problem, other
    return problem, configuration


def _memory(problem: Problem, configuration: Configuration) -> float:
    prepared = prepare(problem, configuration)
    return peak_bytes(problem, prepared, _orders()(short(prepared.shape)))


def _told(row: Row) -> tuple[Problem, Configuration]:
    sizes = {name: row.size(name, 1) or 1 for name in ("tp", "pp", "vp", "cp", "ep")}
    count = _needed(row, "n_gpus")
    share = sizes["tp"] * sizes["pp"] * sizes["cp"]
    data = row.size("dp", count // share) or 1
    if share * data != count:
        raise Missing(f"{count} devices as tp x pp x cp x dp = {share * data}")
    problem = Problem(
        model(row), machine(row.text("gpu"), count, row.text("between")),
        per=_per_parameter(row),
        gradient_bytes=gradients_reduced(row),
        clock=_clock(row),
        cut=_cut(row, sizes["pp"] * _virtual(row, sizes["vp"])),
    )  # fmt: skip
    options = {
        "recompute": row.text("recompute", "none").lower(), "zero": shared_out(row),
        "program": program(row), **overlaps(row), **_hinted(row), **recipe(row),
    }  # fmt: skip
    configuration = Configuration(
        _needed(row, "seq"), _needed(row, "gbs"), microbatch=_needed(row, "mbs"),
        tensor=sizes["tp"], pipeline=sizes["pp"], data=data, virtual=_virtual(row, sizes["vp"]),
        expert=sizes["ep"], sequence_parallel=row.flag("sp") and sizes["tp"] > 1,
        attention=cast(Any, row.text("attention", "flash").lower()),
        schedule=_family(row), context=sizes["cp"],
        precision=cast(Any, _precision(row)), vocabulary=_vocabulary(row),
        expert_tensor=_expert_tensor(row, sizes), **options,
    )  # fmt: skip
    return problem, configuration


def _hinted(row: Row) -> dict[str, Any]:
    """Options that only the hint of a row tells."""
    said = row.text("missing")
    return {k: v for hint, told in _HINTS.items() if hint in said for k, v in told.items()}


def missing_features(row: Row) -> Iterator[str]:
    """What the row needs and cannot be said, as far as single columns tell."""
    if row.text(UNEVEN):
        yield row.text(UNEVEN)
    yield from unread(row)
    if not _precision(row):
        yield f"precision {row.text('precision')}"
    for name in ("tp", "pp", "vp", "cp", "ep", "dp"):
        if row.text(name) and row.size(name) is None:
            yield f"{name} {row.text(name)}"
    if row.text("gradient_bytes") and not (row.number("gradient_bytes") or 0) > 0:
        yield f"gradient_bytes {row.text('gradient_bytes')}"
    if row.text("zero") and row.number("zero") not in (0, 1, 2, 3):
        yield f"zero {row.text('zero')}"
    for name in ("attention", "recompute"):
        if row.text("detail") == "complete" and not row.text(name):
            yield f"{name} is not given, though detail is complete"
    if row.text("sp").lower() not in ("", "true", "1", "yes", "false", "0", "no"):
        yield f"sp {row.text('sp')}"


def _precision(row: Row) -> str:
    """Our name of the precision; "" for one that there is none for."""
    name = row.text("precision", "bf16").lower()
    if "fp4" in name:
        return "nvfp4"
    if "fp8" in name:  # "FP8-CS (FP8-MX)": one scale per tensor, and with blocks in brackets
        return "mxfp8" if name.startswith("mx") or name == "fp8-mx" else "fp8"
    return "bf16" if name in ("bf16", "fp16") else ""


def _vocabulary(row: Row) -> Vocabulary:
    """Where embedding and head are; only the note tells the forms apart."""
    if _SPREAD not in row.text("missing"):
        return "ends"
    form = row.text("note").lower()
    if form.startswith("interlaced"):
        return "interlaced"
    return "vocab-2" if form.startswith("vocab-2") else "vocab-1"


def _expert_tensor(row: Row, sizes: Mapping[str, int]) -> int:
    """Whole experts on each device where otherwise too few devices would share them."""
    room = (row.size("n_gpus", 1) or 1) // (sizes["pp"] * sizes["tp"])
    return 1 if sizes["tp"] > 1 and sizes["ep"] > 1 and room % sizes["ep"] else 0


def _family(row: Row) -> str:
    name = row.text("schedule", "1f1b").lower()
    return _FAMILIES.get(name, name)


def _virtual(row: Row, said: int) -> int:
    """Stages per device: of a V two, whatever the table says; of others what it says."""
    try:
        options = virtual_stages(_family(row))
    except ValueError:
        raise Missing(f"schedule {row.text('schedule')}") from None
    return options[0] if len(options) == 1 else said


def _clock(row: Row) -> Clock:
    name = row.text("clock", "makespan").replace("-", "_")
    if name not in get_args(Clock):
        raise Missing(f"clock {name}")
    return cast(Clock, name)


def _cut(row: Row, n_stages: int) -> str:
    """The cut that the row names; balanced where its layers cannot be spread evenly."""
    cut = row.text("cut", "balanced")
    return "balanced" if cut == "even" and model(row).layers % n_stages else cut


def _needed(row: Row, name: str) -> int:
    found = row.size(name)
    if found is None:
        raise Missing(f"{name} is not given" if not row.text(name) else f"{name} {row.text(name)}")
    return found


def _per_parameter(row: Row) -> PerParameter:
    text = row.text("bytes_per_parameter", "2+4+12")
    try:
        weights, gradients, optimizer = (float(part) for part in text.split("+"))
    except ValueError:
        raise Missing(f"bytes per parameter {text}") from None
    if not all(math.isfinite(x) and x >= 0 for x in (weights, gradients, optimizer)):
        raise Missing(f"bytes per parameter {text}")
    return PerParameter(weights, gradients_kept(row, gradients), optimizer)


@lru_cache(maxsize=1)
def _orders() -> Orders:
    return Orders()
