"""Groups of a GPU's multiprocessors: sizes by arithmetic, disjointness where a GPU is."""

from __future__ import annotations

import pytest
import torch

from backend.threads.sm_groups import (
    disjoint,
    multiprocessors,
    neighbour_slowdown,
    sm_groups,
    sms_per_group,
)


@pytest.mark.parametrize(("n", "size"), [(1, 128), (2, 64), (4, 32), (8, 16), (16, 8)])
def test_groups_of_132_multiprocessors_are_equal_multiples_of_eight(n: int, size: int) -> None:
    assert sms_per_group(132, n) == size


@pytest.mark.parametrize("n", [0, 17, 200])
def test_too_many_parts_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="part"):
        sms_per_group(132, n)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_nothing_to_divide() -> None:
    with pytest.raises(ValueError, match="torch sees no GPU here"):
        sm_groups(2)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("n", [2, 4])
def test_groups_run_on_different_multiprocessors(n: int) -> None:
    groups = sm_groups(n)
    assert len(groups) == n
    if not all(group.green for group in groups):
        pytest.skip("this GPU or driver has no green contexts")
    assert disjoint(groups)
    for group in groups:
        assert len(multiprocessors(group)) <= group.multiprocessors
    slower = neighbour_slowdown(groups, size=2048)
    assert all(len(values) == n for values in slower.values())
    assert all(0.5 < value < 10 for values in slower.values() for value in values)
