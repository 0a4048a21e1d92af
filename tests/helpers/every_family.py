"""All families, those of two directions too, wherever they are listed."""

from __future__ import annotations

import sim
from sim import families

BOTH_WAYS = getattr(families, "TWO_DIRECTIONS", {})
EVERY = {**sim.FAMILIES, **BOTH_WAYS}
