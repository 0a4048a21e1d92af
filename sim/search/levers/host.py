"""Copies to the host and back: how fast they are, as times of O and L."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...base.numbers import Number, checked, exact, plain
from ...engine.costs import Costs


@dataclass(frozen=True)
class Host:
    """The link of every device to host memory, of its own, as fast either way at once.

    bandwidth: bytes per unit of time, or shares where the costs have no bytes. latency: what every
    copy takes on top.
    """

    bandwidth: Number
    latency: Number = 0

    def __post_init__(self) -> None:
        if checked(self.bandwidth, "host bandwidth") == 0:
            raise ValueError("host bandwidth is 0: nothing could ever be offloaded")
        checked(self.latency, "host latency")


def with_host(costs: Costs, host: Host, placement: Sequence[int]) -> Costs:
    """The costs with the times of O and L over that link."""
    size = costs.activation_bytes
    if not any(cell for row in size for cell in row):  # in shares, of which a stage has its part
        chunks = Counter(placement)
        size = tuple((plain(1 / exact(chunks[device])),) for device in placement)
    rate = exact(host.bandwidth)
    times = tuple(tuple(plain(exact(cell) / rate) for cell in row) for row in size)
    return replace(costs, offload=times, load=None, copy_latency=host.latency)
