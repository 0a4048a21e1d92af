"""A model on disk that can be streamed: one safetensors file per part, and a list of them.

    model.json             format, parts in order of computation: file, bytes, checksum, resident?
    part-0000.safetensors  embedding (resident)
    part-0001.safetensors  first layer ...

Files are read straight into one buffer whose size is known before, so that memory can be asked for
first; safetensors' own reader maps files lazily, which would move the loading into the computation.
safetensors has no checksum, so the list holds one (CRC-32 of the file).
"""

from __future__ import annotations

import json
import os
import shlex
import zlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from .layer_memory import Entry, aligned, entries_of, fresh_memory
from .layer_store import FORMAT, LIST, LayerFileError, Part, StoredModel, store_model

__all__ = [
    "CHUNK",
    "LayerFileError",
    "Part",
    "StoredModel",
    "drop_page_cache",
    "open_model",
    "read_part",
    "store_model",
]

CHUNK = 1 << 20
HEADER_LIMIT = 100_000_000  # what safetensors itself allows


def open_model(directory: str | Path) -> StoredModel:
    """The model in `directory`; LayerFileError if there is none, or a file is missing or cut."""
    directory = Path(directory)
    try:
        found = json.loads((directory / LIST).read_text())
        if found["format"] != FORMAT:
            raise ValueError(f"format is {found['format']!r}, not {FORMAT!r}")
        parts = tuple(Part(**row) for row in found["parts"])
        recipe = dict(found["recipe"])
    except OSError as error:
        raise LayerFileError(_no_model(directory, error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LayerFileError(f"{directory / LIST} is not a list of parts: {error}") from None
    for part in parts:
        try:
            size = (directory / part.file).stat().st_size
        except OSError as error:
            raise LayerFileError(f"{directory / part.file}: {error.strerror}") from None
        if size != part.size:
            raise LayerFileError(
                f"{directory / part.file} has {size} bytes instead of {part.size}: "
                "it was cut off or changed; store the model again"
            )
    return StoredModel(directory, parts, recipe)


def _no_model(directory: Path, error: OSError) -> str:
    """Why there is none, and how to get one."""
    fix = "store its modules with backend.pipeload.layer_files.store_model(modules, DIRECTORY)"
    if not directory.is_dir():
        why = "it is a file" if directory.exists() else "there is no such directory"
        return f"{directory} holds no model: {why}; {fix}, or an example with --make-demo"
    if (directory / "config.json").exists():
        return (
            f"{directory} is a checkpoint, not a model that can be streamed: convert it with "
            f"python -m backend pipeload OUT_DIR --from {shlex.quote(str(directory))}"
        )
    if others := sorted(path.name for path in directory.glob("*.safetensors")):
        return (
            f"{directory} holds {others[0]}, but no {LIST}, which says what is computed in which "
            f"order: load the model with the program it belongs to and {fix}"
        )
    return f"{directory} holds no model: {LIST} cannot be read ({error.strerror}); {fix}"


def read_part(
    model: StoredModel,
    part: Part,
    *,
    allocated: Callable[[list[Tensor]], None] = lambda _: None,
    between: Callable[[int], None] = lambda _: None,
    chunk: int = CHUNK,
) -> dict[str, Tensor]:
    """The tensors of one file, all views of one new buffer of `part.bytes` bytes.

    allocated: called with the buffer before anything is read into it. between: called after every
    chunk with its number of bytes; what it raises ends the read. LayerFileError if the file is not
    what the list says.
    """
    path = model.directory / part.file
    memory, buffer = fresh_memory(part.bytes)
    allocated([buffer])
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or not 0 < length <= min(HEADER_LIMIT, part.size - 8):
                raise LayerFileError(f"{path} is damaged: it does not begin like safetensors")
            header = file.read(length)
            checksum = zlib.crc32(header, zlib.crc32(head))
            entries = _checked_entries(header, part, path)
            done, total = 0, sum(entry.bytes for entry in entries)
            for entry in entries:
                view, at = memory[entry.start : entry.start + entry.bytes], 0
                while at < entry.bytes:
                    n = file.readinto(view[at : at + chunk])
                    if not n:
                        raise LayerFileError(
                            f"{path} ends after {done} of {total} bytes of tensors: it was cut "
                            "off; store the model again"
                        )
                    checksum = zlib.crc32(view[at : at + n], checksum)
                    at, done = at + n, done + n
                    between(n)
    except OSError as error:
        raise LayerFileError(f"cannot read {path}: {error.strerror}") from None
    if checksum != part.checksum:
        raise LayerFileError(f"{path} is damaged: its checksum is wrong; store the model again")
    return {
        entry.name: buffer[entry.start : entry.start + entry.bytes]
        .view(entry.dtype)
        .view(entry.shape)
        for entry in entries
    }


def drop_page_cache(model: StoredModel) -> None:
    """Asks the system to forget the files, so that the next read comes from the disk itself."""
    for part in model.parts:
        descriptor = os.open(model.directory / part.file, os.O_RDONLY)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _checked_entries(header: bytes, part: Part, path: Path) -> list[Entry]:
    try:
        found = entries_of(header)
    except ValueError as error:
        raise LayerFileError(f"{path} has a header that makes no sense: {error}") from None
    needed = sum(aligned(entry.bytes) for entry in found)
    if needed != part.bytes:
        raise LayerFileError(
            f"{path} takes {needed} bytes of memory, but {LIST} says {part.bytes}: "
            "store the model again"
        )
    return found
