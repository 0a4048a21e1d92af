"""A small network in layer files, and what a run of it must leave behind: nothing."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import torch
from torch import Tensor, nn

from backend.live_bytes import LiveBytes
from backend.pipeload.layer_files import StoredModel, store_model

WIDTHS = (48, 64, 200, 64, 16, 96)


def small_layer(inner: int, width: int = 32) -> nn.Module:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def network(widths: tuple[int, ...] = WIDTHS) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Embedding(50, 32), *(small_layer(inner) for inner in widths), nn.Linear(32, 50)]


def plain(modules: list[nn.Module], x: Tensor) -> Tensor:
    with torch.inference_mode():
        for module in modules:
            x = module(x)
    return x


def stored_network(directory: Path, modules: list[nn.Module] | None = None) -> StoredModel:
    modules = modules or network()
    return store_model(modules, directory / "model", resident={0, len(modules) - 1})


def inputs(batch: int = 2) -> Tensor:
    return torch.randint(50, (batch, 8), generator=torch.Generator().manual_seed(1))


def nothing_left(live: LiveBytes) -> bool:
    if live.now:  # a failure may leave cycles, but to look for them takes long
        gc.collect()
    names = [thread.name for thread in threading.enumerate()]
    return live.now == 0 and not any(name.startswith("pipeload") for name in names)
