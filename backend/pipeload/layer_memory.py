"""How the tensors of one file lie in memory: from which byte on, in memory of what kind."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 64  # where torch's own memory begins
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
    "BOOL": torch.bool, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
TYPES = frozenset(_NAMES)
"""Types that safetensors can hold."""


class Entry(NamedTuple):
    """One tensor of a file, and where in the memory of its part it starts."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    bytes: int
    start: int


def entries_of(header: bytes) -> list[Entry]:
    """The tensors that a safetensors header lists, in the order of their bytes, which follow each
    other without a gap; ValueError if it makes no sense."""
    found, end, start = [], 0, 0
    try:
        listed = json.loads(header)
        listed.pop("__metadata__", None)
        for name, entry in sorted(listed.items(), key=lambda item: item[1]["data_offsets"]):
            dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
            first, last = entry["data_offsets"]
            if first != end or last - first != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name} has bytes {first} to {last} for shape {shape}")
            found.append(Entry(name, dtype, shape, last - first, start))
            end, start = last, start + aligned(last - first)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    return found


def contents_of(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """What a safetensors file of those tensors holds, piece by piece, none of them copied: wide
    types first, so that every number begins at a multiple of its own size."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header, end = {}, 0
    for name, tensor in ordered:
        first, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [first, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in ordered:
        yield tensor.contiguous().flatten().view(torch.uint8).numpy().data


def aligned(n_bytes: int) -> int:
    """Kernels add up in another order where a weight starts elsewhere than torch would put it, and
    then the last bit differs from that of the resident model."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def fresh_memory(n_bytes: int) -> tuple[memoryview, Tensor]:
    """Zeros, as bytes to write to and as a tensor. They are the system's again the moment the last
    tensor on them is gone; what comes from malloc may stay in one thread's arena, unused."""
    if not n_bytes:
        return memoryview(b""), torch.empty(0, dtype=torch.uint8)
    mapped = mmap.mmap(-1, n_bytes)
    return memoryview(mapped), torch.frombuffer(mapped, dtype=torch.uint8)
