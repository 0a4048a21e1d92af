"""One GPU as several pipeline devices: disjoint groups of its multiprocessors (SMs).

    132 SMs, 4 devices ──one call──► 32 | 32 | 32 | 32 | 4 left over

Each group is a green context with a stream of its own. All groups come from **one** call: contexts
that are made one after the other get overlapping SMs. Disjointness is not taken on trust:
`multiprocessors` reads where a kernel really ran, and `neighbour_slowdown` measures what the groups
still share (caches, memory bandwidth, clocks).

No GPU has confirmed this module yet: it follows the documentation of the CUDA driver interface.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from ..torch_private.kernels import cuda_kernel
from .lanes import device_kind, new_stream

SM_MULTIPLE = 8
"""On Hopper a group is a multiple of 8 SMs, and at least 8."""


class SMGroup(NamedTuple):
    """A stream for one pipeline device.

    multiprocessors: SMs it may use. green: whether nobody else may; False on an ordinary stream.
    context: the green context, which must live as long as the stream.
    """

    stream: torch.cuda.Stream
    multiprocessors: int
    green: bool
    context: Any = None


def sm_groups(n_devices: int, *, gpu: int = 0) -> list[SMGroup]:
    """`n_devices` disjoint groups of one GPU; ordinary streams, with a warning, where the driver
    refuses.

    ValueError if there is no GPU or not 8 SMs for each.
    """
    device_kind("cuda")
    total = torch.cuda.get_device_properties(gpu).multi_processor_count
    size = sms_per_group(total, n_devices)
    try:
        return _green(n_devices, size, gpu)
    except (ImportError, AttributeError, RuntimeError) as error:
        warnings.warn(
            f"this GPU cannot be partitioned ({error}): plain streams are used, on which pipeline "
            "devices compete for the same multiprocessors and pass times depend on each other",
            stacklevel=2,
        )
        return [SMGroup(new_stream(f"cuda:{gpu}"), total, green=False) for _ in range(n_devices)]


def sms_per_group(total: int, n_devices: int) -> int:
    """SMs in each of `n_devices` equal groups out of `total`; ValueError if they are too few."""
    if n_devices < 1:
        raise ValueError(f"a GPU is divided into at least 1 part, got {n_devices}")
    size = total // n_devices // SM_MULTIPLE * SM_MULTIPLE
    if not size:
        raise ValueError(
            f"{n_devices} parts of a GPU with {total} multiprocessors would have fewer than "
            f"{SM_MULTIPLE} each: use at most {total // SM_MULTIPLE}"
        )
    return size


def multiprocessors(group: SMGroup) -> frozenset[int]:
    """The numbers of the SMs on which a wide kernel on this group really ran."""
    device = group.stream.device
    seen = torch.zeros(1024, dtype=torch.int32, device=device)
    torch.cuda.synchronize(device)
    kernel = cuda_kernel(_WHERE, "where")
    with torch.cuda.stream(group.stream):
        kernel(grid=(4096, 1, 1), block=(64, 1, 1), args=[seen])
    group.stream.synchronize()
    return frozenset(seen.nonzero().flatten().tolist())


def disjoint(groups: Sequence[SMGroup]) -> bool:
    """Whether no two groups ran on a common SM."""
    found = [multiprocessors(group) for group in groups]
    return sum(map(len, found)) == len(frozenset().union(*found))


def neighbour_slowdown(groups: Sequence[SMGroup], *, size: int = 4096) -> dict[str, list[float]]:
    """Time of the same work with all groups busy over the time alone, per group.

    Keys: "product" (half-precision matrix product) and "copy" (memory-bound addition).
    """
    work: dict[str, Callable[[tuple[torch.Tensor, ...]], Any]] = {
        "product": lambda given: torch.mm(given[0], given[1], out=given[2]),
        "copy": lambda given: torch.add(given[0], given[1], out=given[2]),
    }
    data = [
        tuple(
            torch.randn(size, size, device=group.stream.device, dtype=torch.bfloat16)
            for _ in range(3)
        )
        for group in groups
    ]
    found = {}
    for name, run in work.items():
        alone = [
            _milliseconds([group], [given], run)[0]
            for group, given in zip(groups, data, strict=True)
        ]
        together = _milliseconds(groups, data, run)
        found[name] = [busy / quiet for busy, quiet in zip(together, alone, strict=True)]
    return found


def _milliseconds(
    groups: Sequence[SMGroup],
    data: Sequence[tuple[torch.Tensor, ...]],
    run: Callable[[tuple[torch.Tensor, ...]], Any],
    *,
    repeats: int = 20,
) -> list[float]:
    """Median time of `run` on each group, all of them at once, after one round to warm up."""
    torch.cuda.synchronize()
    marks: list[list[torch.cuda.Event]] = []
    for group, given in zip(groups, data, strict=True):
        with torch.cuda.stream(group.stream):
            run(given)
    torch.cuda.synchronize()
    for group in groups:
        events = [
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(repeats + 1)
        ]
        events[0].record(group.stream)
        marks.append(events)
    for step in range(repeats):
        for group, given, events in zip(groups, data, marks, strict=True):
            with torch.cuda.stream(group.stream):
                run(given)
            events[step + 1].record(group.stream)
    torch.cuda.synchronize()
    return [statistics.median(a.elapsed_time(b) for a, b in pairwise(events)) for events in marks]


def _green(n_devices: int, size: int, gpu: int) -> list[SMGroup]:
    from cuda.bindings import driver

    torch.zeros(1, device=f"cuda:{gpu}")  # the primary context must exist first
    device = _done(driver.cuDeviceGet(gpu))
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    whole = _done(driver.cuDeviceGetDevResource(device, kind))
    groups, got, _ = _done(driver.cuDevSmResourceSplitByCount(n_devices, whole, 0, size))
    if got < n_devices:
        raise RuntimeError(f"the driver gave {got} groups of {size} multiprocessors")
    found = []
    for group in groups[:n_devices]:
        description = _done(driver.cuDevResourceGenerateDesc([group], 1))
        flags = driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM
        context = _done(driver.cuGreenCtxCreate(description, device, int(flags)))
        count = _done(driver.cuGreenCtxGetDevResource(context, kind)).sm.smCount
        non_blocking = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        stream = _done(driver.cuGreenCtxStreamCreate(context, int(non_blocking), 0))
        outside: Any = torch.cuda.ExternalStream
        found.append(SMGroup(outside(int(stream), device=gpu), int(count), True, context))
    return found


def _done(answer: tuple[Any, ...]) -> Any:
    """What a driver call returned; RuntimeError if it failed."""
    if int(answer[0]):
        raise RuntimeError(f"the CUDA driver said {answer[0]}")
    return answer[1] if len(answer) == 2 else answer[1:]


_WHERE = """
extern "C" __global__ void where(int* seen) {
    unsigned id;
    asm("mov.u32 %0, %%smid;" : "=r"(id));
    seen[id] = 1;
    for (int i = 0; i < 2000; i++) __nanosleep(10);
}
"""
"""Marks the SM it runs on, and stays there a moment so that no SM is left out."""
