"""Tensors and their graph: hooks, leaves, modes, containers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["PlainDispatchMode", "accumulated_by", "has_hooks", "tree_leaves"]


class PlainDispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode whose own frames torch does not wrap against its compiler.

    The wrapper imports that compiler at the first operation: eight hundred modules, three seconds
    of every process that counts. It is not needed, because the compiler leaves all frames alone
    while a mode like this one is on.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def accumulated_by(node: Any) -> Tensor | None:
    """The leaf whose gradient a node of the graph adds up; None for any other node."""
    found = getattr(node, "variable", None)
    return found if isinstance(found, Tensor) else None


def has_hooks(parameter: Tensor) -> bool:
    """Whether somebody wants to see or change the gradient of `parameter`."""
    after = getattr(parameter, "_post_accumulate_grad_hooks", None)
    return bool(parameter._backward_hooks) or bool(after)
