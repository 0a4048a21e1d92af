"""Property tests draw the same cases on every run, so that a failure means a change; `make hunt`
draws new ones each time. None is timed: machines are noisy."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("hunt", derandomize=False, print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


def pytest_collection_finish() -> None:
    """What all modules and five thousand tests hold stays until the end: every full round of the
    garbage collector would look through it, and find nothing."""
    gc.collect()
    gc.freeze()
