"""The tensors of a checkpoint on disk: one safetensors file, or shards and an index of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"


class CheckpointError(ValueError):
    """A checkpoint that is not whole, or not what its config says."""


class StoredTensor(NamedTuple):
    """Where a tensor of a checkpoint lies, and its shape and type as the file tells them."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def stored_tensors(source: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by its name, from the heads of its files."""
    listed: Mapping[str, str] = {}
    if (source / ONE).exists():
        files = [ONE]
    elif (source / INDEX).exists():
        listed = _index(source / INDEX)
        files = sorted({*listed.values()})
    else:
        raise CheckpointError(f"{source} has neither {ONE} nor {INDEX}{_other_format(source)}")
    found = {}
    for file in files:
        with _opened(source / file) as shard:
            for name in shard.keys():  # noqa: SIM118 (it is no mapping)
                if listed.get(name, file) != file:
                    continue  # the index prefers it elsewhere
                part = shard.get_slice(name)
                found[name] = StoredTensor(source / file, tuple(part.get_shape()), part.get_dtype())
    for name, file in listed.items():
        if name not in found:
            raise CheckpointError(
                f"{source / INDEX} says that {name} is in {file}, but it is not: "
                "download that file again"
            )
    return found


def mapped_tensors(
    found: Mapping[str, StoredTensor], names: Mapping[str, str]
) -> dict[str, Tensor]:
    """Tensors under our names, mapped from the files and not yet in memory."""
    tensors = {}
    for file in sorted({found[theirs].file for theirs in names.values()}):
        with _opened(file) as shard:
            for ours, theirs in names.items():
                if found[theirs].file == file:
                    tensors[ours] = shard.get_tensor(theirs)
    return {ours: tensors[ours] for ours in names}


def _index(path: Path) -> Mapping[str, str]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not listed or not all(isinstance(file, str) for file in listed.values()):
            raise TypeError("weight_map names no files")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not an index of shards: {error}") from None
    found: Mapping[str, str] = listed
    return found


def _other_format(source: Path) -> str:
    odd = sorted(path.name for path in source.glob("*.bin"))
    if not odd:
        return ": name the directory of a checkpoint, as save_pretrained writes it"
    return f", but {odd[0]}: save it as safetensors with the program it belongs to"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as shard:
            yield shard
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: download that file again") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is cut off or damaged ({error}): download that file again"
        ) from None
