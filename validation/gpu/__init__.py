"""Everything that only a GPU can say, in one go: `python -m validation gpu`."""

from __future__ import annotations

from .page import gpu_page
from .setting import Setting, setting_for
from .steps import STEPS, Outcome, outcomes

__all__ = ["STEPS", "Outcome", "Setting", "gpu_page", "outcomes", "setting_for"]
