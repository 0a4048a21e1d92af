"""The processes of a run: one per pipeline device, started by torchrun."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def process_group(device: str, *, timeout: float = 120.0) -> Iterator[torch.device]:
    """The group of processes that torchrun started, and the device this one computes on.

    device: "cpu" (messages through gloo) or "cuda" (through NCCL). timeout: seconds after which a
    message that nobody serves ends the run.

    Raises ValueError outside torchrun, and where this process would have no GPU.
    """
    if "RANK" not in os.environ:
        raise ValueError("the torch engine needs one process per device: start it with torchrun")
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch sees no GPU here: use cpu")
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {local} of this host has no GPU: there are {torch.cuda.device_count()}, "
                "and NCCL wants one per process"
            )
        torch.cuda.set_device(local)
        where = torch.device("cuda", local)
    else:
        where = torch.device(device)
    limit = datetime.timedelta(seconds=timeout)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=limit)
    try:
        yield where
    finally:
        dist.destroy_process_group()
