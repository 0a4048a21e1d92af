"""From what was typed to the schedule and the model that run."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from sim import FAMILIES, Schedule, from_json, read_torch_csv, validate
from sim.cli.command_line import UsageError

MOST_DEVICES = 256
MOST_PASSES = 1_000_000
"""More would keep this machine busy for days: refused before anything is built."""


class Asked(NamedTuple):
    """What the options say about the schedule; None where nothing was said."""

    devices: int | None
    microbatches: int | None
    stages_per_device: int | None
    group_size: int | None
    slices: int | None


def count(text: str | None, flag: str, *, least: int = 1) -> int | None:
    """The whole number in `text`, at least `least`; None if there is no text."""
    if text is None:
        return None
    if not re.fullmatch(r"[+-]?\d{1,18}", text.strip()):
        raise UsageError(f"{flag} is {text[:40]!r}: it must be a whole number, {least} or more")
    if int(text) < least:
        raise UsageError(f"{flag} is {text!r}: it must be at least {least}")
    return int(text)


def seconds(text: str | None, flag: str) -> float | None:
    """The time in `text`, in seconds; None if there is no text."""
    if text is None:
        return None
    if not re.fullmatch(r"(\d{1,9}(\.\d{0,18})?|\.\d{1,18})(e[+-]?\d{1,2})?", text.strip(), re.I):
        raise UsageError(f"{flag} is {text[:40]!r}: it must be a time in seconds such as 0.002")
    return float(text)


def word(text: str, flag: str, choices: tuple[str, ...]) -> str:
    """`text` if it is one of `choices`."""
    if text not in choices:
        raise UsageError(f"{flag} is {text[:40]!r}: use {', '.join(choices[:-1])} or {choices[-1]}")
    return text


def schedule_of(name: str, asked: Asked) -> Schedule:
    """The schedule of a family, or in a file (our JSON, or torch's CSV), validated."""
    if name in FAMILIES:
        return _built(name, asked)
    if Path(name).suffix.lower() not in (".json", ".csv") and not Path(name).exists():
        near = get_close_matches(name.lower().replace("_", "-"), FAMILIES, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`python -m sim families` has all"
        raise UsageError(f"unknown family {name!r}: {hint}")
    schedule = _read(Path(name))
    for flag, wanted, found in (
        ("-p", asked.devices, schedule.n_devices),
        ("-m", asked.microbatches, schedule.n_microbatches),
        ("--slices", asked.slices, schedule.n_slices),
    ):
        if wanted is not None and wanted != found:
            raise UsageError(
                f"{flag} is {wanted}, but the schedule in {name} has {found}: leave it out"
            )
    return schedule


def layers_of(text: str | None, n_stages: int) -> tuple[int, ...]:
    """Blocks per stage: one each by default; one number is spread, a list is taken as it is."""
    if text is None:
        return (1,) * n_stages
    parts = [count(part, "--layers", least=0) or 0 for part in text.split(",")]
    if len(parts) == 1:
        from ..stages.transformer import even_layers

        return even_layers(parts[0], n_stages)
    if len(parts) != n_stages:
        raise UsageError(
            f"--layers names {len(parts)} stages, but the schedule has {n_stages}: give a number "
            "for each, or the total"
        )
    return tuple(parts)


def _built(name: str, asked: Asked) -> Schedule:
    family, p, m = FAMILIES[name], asked.devices, asked.microbatches
    if p is None or m is None:
        missing = "-p, the number of devices" if p is None else "-m, the number of microbatches"
        raise UsageError(f"{name} needs {missing}")
    options = {
        option: value
        for option, value in (
            ("v", asked.stages_per_device),
            ("group_size", asked.group_size),
            ("slices", asked.slices),
        )
        if value is not None
    }
    taken = {name: value for name, value in options.items() if name in family.options}
    if p > MOST_DEVICES:
        raise ValueError(f"-p is {p}: one process runs at most {MOST_DEVICES} devices")
    if p * m * max(taken.get("v", 1), 1) * max(taken.get("slices", 1), 1) > MOST_PASSES:
        raise ValueError(f"{p} devices and {m} microbatches are more than {MOST_PASSES:,} passes")
    schedule = family(p, m, **taken)
    is_so = {"v": schedule.n_stages / p, "slices": schedule.n_slices}
    for option, value in options.items():
        if option not in taken and is_so.get(option) != value:
            takes = " and ".join(_FLAGS[known] for known in family.options)
            says = f"it takes {takes}" if takes else "it takes -p and -m alone"
            raise UsageError(f"{name} does not take {_FLAGS[option]}: {says}")
    return schedule


def _read(path: Path) -> Schedule:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if not text.lstrip().startswith(("{", "[")) and path.suffix.lower() != ".json":
        return read_torch_csv(path)
    try:
        schedule = from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    validate(schedule)
    return schedule


_FLAGS = {"v": "-v", "group_size": "--group-size", "slices": "--slices"}
