"""Schedules in files: our JSON, or what torch writes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ..schedule.ir import Schedule
from ..schedule.json_form import from_json
from ..schedule.torch_csv import TorchFile, torch_file
from ..schedule.torch_rows import lists_of_passes
from ..schedule.validate import validate
from .text_files import text_of_file


def schedule_in(path: str) -> Schedule:
    """The schedule in a file, JSON or what torch writes by its content; validated. What its reader
    should know about a file of torch is told on stderr.

    Every error begins with the path: of several files, people must know which one.
    """
    schedule, notes = file_in(path)
    for note in notes:
        print(f"note: {path}: {note}", file=sys.stderr)
    return schedule


def file_in(path: str) -> TorchFile:
    """The same with the notes, and none told."""
    text = text_of_file(path)
    looks_like_json = text.lstrip().startswith(("{", "[")) and not lists_of_passes(text)
    if looks_like_json or Path(path).suffix.lower() == ".json":
        try:
            schedule = from_json(text)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        validate(replace(schedule, name=path))
        return TorchFile(schedule, ())
    found = torch_file(text, name=path)
    return found._replace(schedule=replace(found.schedule, name=Path(path).stem))
