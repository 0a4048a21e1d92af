"""Single operations of torch, and tensors without data."""

from __future__ import annotations

from typing import Any

import torch

from .versions import checked_torch, require

CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
grouped_mm = torch._grouped_mm
"""Rows of x in groups that end at `offs`, each times its own matrix."""


def cuda_kernel(source: str, name: str) -> Any:
    """The kernel `name` of a CUDA source, compiled when it runs; call it with grid, block, args."""
    checked_torch()
    return torch.cuda._compile_kernel(source, name)


def fake_mode() -> Any:
    """A context in which tensors have shapes and no data."""
    require({"torch._subclasses.fake_tensor": "FakeTensorMode"})
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()
