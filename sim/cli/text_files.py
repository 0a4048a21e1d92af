"""The files that commands read and write; one sentence says why one cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

from ..base.files import write_text_atomically


def text_of_file(path: str) -> str:
    """The text of a file; ValueError if it cannot be read."""
    if not path:
        raise ValueError("cannot read a file without a name")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def check_writable(path: str) -> None:
    """ValueError now rather than after a long simulation, if `path` cannot be written."""
    target = Path(path)
    if not path:
        raise ValueError("cannot write a file without a name")
    if target.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if not target.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {target.parent}")


def write_text(path: str, text: str) -> None:
    """Write the whole file or nothing, and say so on stderr; ValueError if it cannot be written."""
    try:
        write_text_atomically(path, text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"cannot write {path}: {reason}") from None
    print(f"wrote {path}", file=sys.stderr)
