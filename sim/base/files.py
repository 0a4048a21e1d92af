"""Files that are either complete or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 to `path`, which until the end keeps its old content, if any.

    The text goes to a new file beside it, which then takes the place of `path` in one step: a crash
    or a full disk never leaves half a file. OSError if the folder does not exist or is read-only.
    """
    # A link keeps pointing where it does: its target is what is written.
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if target.exists() and not target.is_file():  # a pipe, /dev/null: nothing to take the place of
        target.write_text(text, encoding="utf-8")
        return
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(beside, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        if target.exists():
            beside.chmod(target.stat().st_mode)
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
