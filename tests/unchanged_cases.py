"""The cases of `unchanged.py`: commands and calls of public functions, made from tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

Step = str | Callable[[], None]
"""A command without its `python -m`, or a call that prints."""


@dataclass(frozen=True)
class Case:
    """Steps one after the other, in a folder of their own with these files.

    keep, drop: keys of the JSON on stdout to compare, or not to. digits: of its numbers.
    """

    name: str
    steps: tuple[Step, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    digits: int = 0


WARM_UP: tuple[Step, ...] = (
    "sim simulate v-half -p 2 -m 4 --json --html warm.html",
    "sim compare 1f1b zb-h1 -p 2 -m 4",
    "sim export 1f1b -p 2 -m 2 --perfetto warm.json",
    "sim search -p 2 -m 2 --time-limit 1 --json",
    "sim plan --model llama-3-8b --cluster 8xh100 --batch 8 --schedules 1f1b --tensor 8 --jobs 1",
    "sim pipeload bert-large",
)
TIMES = "--forward 10 --backward 12 --weight 8 --send 1"
BYTES = "--activation-bytes 1000 --boundary-bytes 40 --static-bytes 7000"
FAMILIES = (
    "gpipe", "1f1b", "eager-1f1b", "interleaved", "looped-bfs", "zb-h1", "zb-h2", "zb-v", "1f1b-v",
    "v-min", "v-half", "v-zb", "gis", "gis-h", "dualpipe-v", "seq1f1b", "seq1f1b-interleaved",
    "seq1f1b-zb", "2bp-naive", "2bp-gpipe", "2bp-1f1b-1", "2bp-1f1b-2",
)  # fmt: skip
SOME = ("1f1b", "interleaved", "zb-h2", "v-half", "dualpipe-v", "seq1f1b", "2bp-gpipe")
"""One family of each kind."""


# -- what calls print -----------------------------------------------------------------------------


def names() -> dict[str, Any]:
    """What expressions may use."""
    import math

    import numpy as np

    import sim

    return {"sim": sim, "np": np, "math": math, "Fraction": Fraction}


def tell(expression: str, given: Mapping[str, Any] | None = None) -> None:
    """Print the value of an expression, or what it raises."""
    try:
        value = eval(expression, names() | dict(given or {}))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
    else:
        show(value)


def show(value: Any) -> None:
    """Print a value with every digit, types included."""
    if hasattr(value, "to_csv"):
        print({str(name): str(kind) for name, kind in value.dtypes.items()})
        print(value.to_csv(index=False) if len(value) <= 300 else digest(value.to_csv(index=False)))
    elif isinstance(value, str) and len(value) > 4000:
        print(digest(value))
    else:
        print(value if isinstance(value, str) else repr(value))


def digest(text: str) -> str:
    """A text too long to be shown."""
    return f"{len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()}"


def play(schedule: str, costs: str, cluster: str, more: str) -> None:
    """Play a schedule, and print all that can be read off the trace."""
    import sim

    known = names()
    known["s"] = eval(schedule, known)
    known["trace"] = trace = eval(f"sim.simulate(s, {costs}, {cluster}, {more})", known)
    assert sim
    for question in (
        "sim.makespan(trace), sim.longest_stage(trace)",
        "[sim.bubble(trace, clock) for clock in ('makespan', 'longest_stage')]",
        "sim.busy(trace)",
        "sim.peak_activations(s), sim.peak_bytes(trace)",
        "sim.iteration_times(trace)",
        "sim.idle_account(trace)",
        "[tuple(leg) for leg in sim.critical_path(trace)]",
        "trace.per_unit, trace.capacity, trace.iterations, trace.origin, dict(trace.notes)",
        "sorted({type(x).__name__ for x in trace.memory['live']})",
    ):
        tell(question, known)
    for name in ("ops", "transfers", "memory"):
        print(name)
        show(getattr(trace, name))


def pictures(schedule: str, costs: str, cluster: str, more: str) -> None:
    """Play a schedule, and print the fingerprints of its pictures and files."""
    from pathlib import Path

    known = names()
    known["s"] = eval(schedule, known)
    known["trace"] = eval(f"sim.simulate(s, {costs}, {cluster}, {more})", known)
    for question in (
        "sim.gantt(trace, unit='ms', title='t').to_json(engine='json')",
        "sim.gantt(trace, window=(2, 9), width=700).to_json(engine='json')",
        "sim.memory_curve(trace, unit='s').to_json(engine='json')",
        "sim.idle(sim.idle_account(trace)).to_json(engine='json')",
        "sim.gantt_svg({'one': trace, 'a < b': trace}, width=800)",
    ):
        tell(f"str({question})", known)
    tell("sim.write_perfetto(trace, 'perfetto.json')", known)
    tell("sim.write_torch_csv(s, 'torch.csv')", known)
    for name in ("perfetto.json", "torch.csv"):
        if Path(name).exists():
            show(Path(name).read_text())


def built(schedule: str) -> None:
    """Print a schedule in every way there is."""
    known = names()
    known["s"] = eval(schedule, known)
    for question in (
        "str(s)", "sim.to_json(s)", "sim.from_json(sim.to_json(s)) == s", "sim.validate(s)",
        "s.placement, s.n_ops, s.n_slices, s.stages_of, len(s.fused)", "sim.peak_activations(s)",
        "[list(map(str, sim.reads(s, op))) for op in s.orders[-1][:9]]",
        "[list(map(str, sim.writes(s, op))) for op in s.orders[0][:9]]",
        "[len(list(sim.steps(s, d))) for d in range(s.n_devices)]", "hash(s) == hash(s), repr(s)",
    ):  # fmt: skip
        tell(question, known)


# -- tables ---------------------------------------------------------------------------------------


def simulations() -> Iterator[Case]:
    for family in FAMILIES:
        for sizes, costs in (
            ("-p 4 -m 8", ""),
            ("-p 3 -m 7", f"{TIMES} --clock longest-stage"),
            ("-p 8 -m 16", f"--forward 1/3 --backward 0.7 --weight 0.25 --send 0.1 {BYTES}"),
            ("-p 5 -m 1", TIMES),
        ):
            words = f"{family} {sizes} {costs}".strip()
            yield Case(f"simulate {words}", (f"sim simulate {words} --json",))
        words = f"simulate {family} -p 4 -m 8 {TIMES} {BYTES} --unit ms"
        yield Case(f"table of {words}", (f"sim {words}",))
    for words in (
        "interleaved -p 4 -m 12 -v 3 --group-size 6", "interleaved -p 4 -m 8 -v 4",
        "interleaved -p 2 -m 8 -v 2 --group-size 4", "looped-bfs -p 4 -m 8 -v 4",
        "gis -p 4 -m 8 -v 3", "gis-h -p 6 -m 12 -v 2", "seq1f1b -p 4 -m 8 --slices 4",
        "seq1f1b-zb -p 4 -m 8 --slices 3", "seq1f1b-interleaved -p 4 -m 8 --slices 2 -v 2",
        "seq1f1b-interleaved -p 4 -m 8 --slices 4 --group-size 8 -v 3", "zb-v -p 4 -m 8 -v 2",
        "v-half -p 16 -m 64", "1f1b -p 32 -m 64", "zb-h1 -p 1 -m 1", "dualpipe-v -p 8 -m 20",
    ):  # fmt: skip
        yield Case(f"simulate {words}", (f"sim simulate {words} {TIMES} --json",))


CASES = [case for table in (simulations,) for case in table()]
