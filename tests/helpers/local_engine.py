"""The families that the local engine runs: it says itself which passes it does not know."""

from __future__ import annotations

import sim
from backend.threads.checks import unknown_passes

RUNNABLE = {
    name: family for name, family in sim.FAMILIES.items() if not unknown_passes(family(4, 8))
}
