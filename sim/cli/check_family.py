"""The command `check-family`: the tests of every family, for one of your own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def check_family_command(
    place: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:NAME",
            help="A Family, or a function (n_devices, n_microbatches) -> Schedule.",
            show_default=False,
        ),
    ],
    examples: Annotated[int, typer.Option(min=1, help="Random settings to try.")] = 50,
) -> None:
    """Test a family of your own: validity, claims, formulas, random costs.

    Example:  python -m sim check-family mine.py:my_schedule

    Devices, microbatches, options and costs are drawn at random; the smallest example that breaks a
    promise is shown. In Python: sim.testing.check_family(my_schedule).
    """
    from ..base.extras import imported

    family = _named(place)
    testing = imported("sim.testing", "check-family")
    try:
        testing.check_family(family, max_examples=examples, progress=True)
    except AssertionError as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        raise ValueError(f"{place}: {error}" + f"\n{notes}" * bool(notes)) from None
    print(f"{place} keeps what every family must, in {examples} random settings")


def _named(place: str) -> Any:
    """What NAME is in FILE.py; ValueError with one sentence if there is no such thing."""
    path, colon, name = place.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ValueError(f"{place!r} names no family: write FILE.py:NAME")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their own module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from None
    if not callable(found := getattr(module, name, None)):
        raise ValueError(f"{path} has no family {name}")
    return found
