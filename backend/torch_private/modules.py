"""What a module is inside."""

from __future__ import annotations

from torch import nn


def is_compiled(module: nn.Module) -> bool:
    """Whether `module` is what `torch.compile` made of another, or was compiled in place."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None
