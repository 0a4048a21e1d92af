"""Streamed inference for real: layers are loaded from disk while others compute.

torch is imported at the first use of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run import run_streamed, streamed_model

__all__ = ["run_streamed", "streamed_model"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'backend.pipeload' has no attribute {name!r}")
    from sim.base.extras import imported

    return getattr(imported(f"{__name__}.run", f"backend.pipeload.{name}"), name)
