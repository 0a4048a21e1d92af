"""Writing a model that can be streamed: the files of its parts, then the list of them.

A model is there only when its list is, and the list is written last.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sim.base.progress import bar

from .layer_memory import TYPES, aligned, contents_of

FORMAT = "pipebubble.streamed-model/1"
LIST = "model.json"


class LayerFileError(ValueError):
    """A model directory, or a file in it, that cannot be written or is not what its list says."""


@dataclass(frozen=True)
class Part:
    """One file: `bytes` its tensors take in memory, each rounded up to a multiple of 64, `size` and
    CRC-32 `checksum` of the file; whether its tensors stay in memory throughout."""

    file: str
    bytes: int
    size: int
    checksum: int
    resident: bool


@dataclass(frozen=True)
class StoredModel:
    """The parts of a model in order of computation; parts with the same tensors name one file.
    recipe: what rebuilds its modules, if known."""

    directory: Path
    parts: tuple[Part, ...]
    recipe: Mapping[str, Any]


def store_model(
    modules: Sequence[nn.Module],
    directory: str | Path,
    *,
    resident: Collection[int] = (),
    recipe: Mapping[str, Any] | None = None,
) -> StoredModel:
    """Writes `modules`, which run one after the other, as a model that can be streamed.

    resident: positions of modules that stay in memory (embedding, head). recipe: kept for whoever
    rebuilds the modules. Modules with the very same tensors (a head tied to its embedding) get one
    file. LayerFileError as for `store_parts`.
    """
    for i, module in enumerate(modules):
        _check(module, i)
    files: dict[object, int] = {}
    first = [files.setdefault(_identity(module, i), i) for i, module in enumerate(modules)]
    own = {i: modules[i] for i in first}
    return store_parts(
        (_tensors(own[i]) if i == position else i for position, i in enumerate(first)),
        directory,
        needed=sum(t.nbytes for module in own.values() for t in module.state_dict().values()),
        resident=resident,
        recipe=recipe,
    )


def store_parts(
    parts: Iterable[Mapping[str, Tensor] | int],
    directory: str | Path,
    *,
    needed: int,
    resident: Collection[int] = (),
    recipe: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> StoredModel:
    """Writes the tensors of one part after the other, each asked for when the one before is on the
    disk. A number in place of tensors is the position of an earlier part whose file serves again.

    needed: bytes of all of them. progress: a line on stderr meanwhile, if stderr is a terminal.
    LayerFileError if the disk is full or the directory holds a model. Whatever goes wrong, nothing
    of this model is left.
    """
    directory = Path(directory)
    if (directory / LIST).exists():
        raise LayerFileError(f"{directory} already holds a model: remove it or name another")
    new, written = not directory.exists(), list[Path]()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed} bytes needed, {free} free")
        listed: list[Part] = []
        done = 0
        with bar(f"storing {directory}", needed, shown=progress) as tell:
            for i, tensors in enumerate(parts):
                if isinstance(tensors, int):
                    listed.append(replace(listed[tensors], resident=i in resident))
                    continue
                written.append(directory / f"part-{i:04d}.safetensors")
                listed.append(_write_part(tensors, written[-1], i in resident))
                done += sum(tensor.nbytes for tensor in tensors.values())
                if tell:
                    tell(done)
        written.append(directory / LIST)
        found = {"format": FORMAT, "recipe": dict(recipe or {}), "parts": [*map(asdict, listed)]}
        text = json.dumps(found, indent=1)
        _write([text.encode()], written[-1])
    except BaseException as error:
        _remove(written, directory if new else None)
        if not isinstance(error, OSError):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full" if full else error.strerror
        raise LayerFileError(
            f"cannot write the model to {directory}: {why}; {needed} bytes are needed, and "
            "what was written is removed"
        ) from None
    return StoredModel(directory, tuple(listed), json.loads(text)["recipe"])


def _check(module: nn.Module, position: int) -> None:
    state = module.state_dict()
    if lost := [name for name, _ in module.named_buffers() if name not in state]:
        raise LayerFileError(
            f"module {position} keeps buffer {lost[0]!r} outside its state dict: register it "
            "as persistent, or it would not be there after loading"
        )
    if odd := [f"{name!r} is {t.dtype}" for name, t in state.items() if t.dtype not in TYPES]:
        raise LayerFileError(f"module {position}: {odd[0]}, which cannot be streamed")


def _identity(module: nn.Module, position: int) -> object:
    """Equal for modules whose tensors are the same memory under the same names."""
    state = module.state_dict()
    if not state or not all(tensor.data_ptr() for tensor in state.values()):
        return position  # nothing that could be shared
    return frozenset(
        (name, t.data_ptr(), t.shape, t.stride(), t.dtype) for name, t in state.items()
    )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }


def _write_part(tensors: Mapping[str, Tensor], path: Path, resident: bool) -> Part:
    size, checksum = _write(contents_of(tensors), path)
    held = sum(aligned(tensor.nbytes) for tensor in tensors.values())
    return Part(path.name, held, size, checksum, resident)


def _write(content: Iterable[bytes | memoryview], path: Path) -> tuple[int, int]:
    """All of it or nothing under that name, and on the disk itself; its size and checksum."""
    size = checksum = 0
    with _unfinished(path).open("wb") as file:
        for piece in content:
            file.write(piece)
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
        file.flush()
        os.fsync(file.fileno())
    os.replace(_unfinished(path), path)
    return size, checksum


def _remove(written: Sequence[Path], directory: Path | None) -> None:
    for path in written:
        path.unlink(missing_ok=True)
        _unfinished(path).unlink(missing_ok=True)
    if directory:
        with suppress(OSError):  # it was never made, or somebody else has put something there
            directory.rmdir()


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".part")
