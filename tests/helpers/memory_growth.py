"""How much memory a process takes that streams a model or converts one, by Linux's own account.

Each function is run in a process of its own (see `forked.in_a_process`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from backend.pipeload import run_streamed, streamed_model
from backend.pipeload.checkpoints.convert import convert_checkpoint
from backend.pipeload.layer_files import store_model


def streaming_growth(directory: Path) -> tuple[int, int]:
    """Bytes of the limit under which a model of 160 MB is streamed, and bytes by which the process
    grows at most meanwhile, after a first run."""
    torch.set_num_threads(1)
    stored = store_model(_layers(), directory)
    with torch.device("meta"):
        modules = _layers()
    x = torch.zeros(4, 1000)
    limit = int(streamed_model(stored, modules, x).smallest_limit)
    run_streamed(stored, modules, x, memory_limit=limit)
    before = _peak_from_here()
    for loaders in (4, 2, 3):
        run_streamed(stored, modules, x, loaders=loaders, memory_limit=2 * limit)
    return 2 * limit, _peak() - before


def conversion_growth(small: Path, sources: Sequence[Path], directory: Path) -> list[int]:
    """Bytes by which the process grows at most while it converts each checkpoint of `sources`;
    `small` is converted first, so that all code is there."""
    convert_checkpoint(small, directory / "small")
    grown = []
    for i, source in enumerate(sources):
        before = _peak_from_here()
        convert_checkpoint(source, directory / str(i))
        grown.append(_peak() - before)
    return grown


def _layers() -> list[nn.Module]:
    return [nn.Sequential(*(nn.Linear(1000, 1000) for _ in range(5))) for _ in range(8)]


def _peak() -> int:
    """The most bytes that were resident since `_peak_from_here`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1])


def _peak_from_here() -> int:
    """Bytes that are resident now, from which on the peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()
