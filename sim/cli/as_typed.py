"""The command line as it was typed, which a page shows to those who want to make it again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

PACKAGES = ("sim", "backend", "validation")
SCRIPT = "pipebubble"


def as_typed() -> str:
    """The command that this process runs, such as `python -m sim simulate 1f1b -p 4`.

    "" if it was not started as one of our programs.
    """
    program, *words = sys.argv
    path = Path(program)
    if path.name == "__main__.py" and path.parent.name in PACKAGES:
        return shlex.join(["python", "-m", path.parent.name, *words])
    return shlex.join([SCRIPT, *words]) if path.stem == SCRIPT else ""
