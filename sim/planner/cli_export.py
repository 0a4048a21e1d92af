"""What a plan's row becomes for other programs: made first, refused in a sentence, then written."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TextIO

from .cost_model import Configuration
from .export_megatron import megatron, megatron_environment
from .export_torchtitan import VERSION, Torchtitan, torchtitan
from .problem import Problem

CSV, SCRIPT = "schedule.csv", "torchtitan.sh"


class Exports(NamedTuple):
    """What was asked for and can be had, and a sentence for each that cannot."""

    torchtitan: Torchtitan | None
    megatron: tuple[str, ...]
    refused: tuple[str, ...]


def exports(
    problem: Problem, chosen: Configuration, *, torchtitan_dir: str | None, megatron_flags: bool
) -> Exports:
    """The exports of a row, nothing written yet."""
    titan: Torchtitan | None = None
    flags: tuple[str, ...] = ()
    refused = []
    if torchtitan_dir:
        try:
            titan = torchtitan(problem, chosen, csv_path=str(Path(torchtitan_dir).resolve() / CSV))
        except ValueError as error:
            refused.append(str(error))
    if megatron_flags:
        try:
            flags = tuple(megatron(problem, chosen))
        except ValueError as error:
            refused.append(str(error))
    environment = megatron_environment(chosen) if flags else ""
    return Exports(titan, (f"# first: {environment}",) * bool(environment) + flags, tuple(refused))


def write_exports(made: Exports, torchtitan_dir: str | None, *, flags_to: TextIO) -> None:
    """Files of torchtitan into its folder, flags of Megatron-LM to a stream."""
    if made.torchtitan and torchtitan_dir:
        folder = Path(torchtitan_dir)
        (folder / SCRIPT).write_text(_script(made.torchtitan))
        (folder / SCRIPT).chmod(0o755)
        if made.torchtitan.csv:
            (folder / CSV).write_text(made.torchtitan.csv)
    if made.megatron:
        comment = made.megatron[0] if made.megatron[0].startswith("#") else ""
        flags = made.megatron[1:] if comment else made.megatron
        print(*([comment] if comment else []), " \\\n".join(flags), sep="\n", file=flags_to)


def _script(found: Torchtitan) -> str:
    notes = "".join(f"# {note}\n" for note in found.notes)
    return f"#!/bin/sh\n# for torchtitan {VERSION}\n{notes}exec {found.command}\n"
