"""Compiles what searches run, so that processes which test side by side find it on disk: each would
compile it for itself otherwise.

Every small search below needs some of the compiled functions, and together they need all of them.
"""

from __future__ import annotations

from typing import Any

from sim import FAMILIES, Costs
from sim.search import evaluate, search


def main() -> None:
    times: dict[str, Any] = {"forward": 5, "backward": 6, "weight": 4, "send": 1}
    v, straight = Costs.of(6, **times), Costs.of(3, **times)
    ask: dict[str, Any] = {"moves": 4_000_000, "progress": False, "memory_limit": 2}
    search(3, 8, v, jitter=0.1, **ask)
    search(3, 8, straight, placement="straight", **ask)
    search(3, 40, v, without=["exact"], **ask)
    unlike = Costs.of(6, **times, microbatch_scale=(1, 2, 3, 1))
    search(3, 4, unlike, **ask)
    held = Costs.of(6, **times, activation_bytes=100, recompute_keeps=0.05, offload=5)
    levers = {**ask, "memory_limit": None, "memory_bytes": 300, "levers": ["recompute", "offload"]}
    search(3, 6, held, **levers)
    unround = Costs.of(6, forward=1 / 3, backward=0.1234567890123, weight=2 / 7)
    evaluate(FAMILIES["zb-v"](3, 4), unround)


if __name__ == "__main__":
    main()
