"""Jobs with heads and tails on one machine that may interrupt them, with values by hand."""

from __future__ import annotations

import pytest

from sim.bounds.bottleneck import bottleneck
from sim.bounds.chains import Chains
from sim.bounds.workload import Job, PassType, Time

F, B, W, R, FREE = (PassType(kind, 0, 0) for kind in ("F", "B", "W", "R", "S"))
HEAD: dict[PassType, Time] = {F: 1, B: 4, W: 0, R: 9}
TAIL: dict[PassType, Time] = {F: 7, B: 2, W: 0, R: 9}
CHAINS = Chains(HEAD, TAIL, 0, 0)


@pytest.mark.parametrize(
    ("jobs", "least"),
    [
        ({}, 0),
        ({(F,): 5}, 1 + 5 + 7),
        ({(W,): 3}, 3),
        # W runs until B is there, then B for 3, and after it 2; W has 1 left: 4 + 3 + 2.
        ({(W,): 5, (B,): 3}, 9),
        # W is through at 2 and the machine waits for B.
        ({(W,): 2, (B,): 3}, 9),
        # F keeps the machine when B comes, as more follows it: B ends at 1 + 5 + 3, and then 2.
        ({(F,): 5, (B,): 3}, 13),
        ({(F,): 5, (B,): 6}, 14),
        # All three: W for 1, F 1 to 6, B 6 to 9, the rest of W to 21.
        ({(W,): 13, (F,): 5, (B,): 3}, 21),
        # One step of two passes waits for the later head, and the longer tail follows.
        ({(F, B): 3}, 4 + 3 + 7),
        # An R is in its backward's step, and no way leads from it; alone it has its own.
        ({(R, B): 3}, 4 + 3 + 2),
        ({(R,): 3}, 9 + 3 + 9),
        # What has no chains is left out.
        ({(FREE,): 99, (F, FREE): 99}, 0),
    ],
)
def test_the_best_that_one_machine_can_do(jobs: dict[Job, Time], least: Time) -> None:
    assert bottleneck(jobs, CHAINS) == least
