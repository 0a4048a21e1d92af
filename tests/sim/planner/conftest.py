"""The plan that tests of plans look at."""

from __future__ import annotations

import pandas as pd
import pytest
from small_plans import FEWER, MACHINE, SMALL

from sim.planner import plan


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Every configuration of the small model, simulated or refused."""
    return plan(SMALL, MACHINE, sequence=1024, batch=64, top=None, jobs=1, space=FEWER)
