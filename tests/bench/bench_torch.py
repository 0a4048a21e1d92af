"""A training step of ours against torch's own class with the same order of passes, in pairs.

python tests/bench/bench_torch.py [-p 4] [-m 8] [--rounds 15] [--width 256]

Seconds of torch's class over ours, step by step one right after the other in the same processes:
above 1 ours is faster. Medians and quartiles over rounds. The order is read off torch's class, so
only the engines differ: ours agrees on shapes, puts weight gradients aside and returns the loss
everywhere, torch's splits natively and scales gradients after the step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

CLASSES = {
    "ScheduleGPipe": 1, "Schedule1F1B": 1, "ScheduleInterleaved1F1B": 2,
    "ScheduleInterleavedZeroBubble": 2, "ScheduleZBVZeroBubble": 2, "ScheduleDualPipeV": 2,
}  # fmt: skip
"""torch's classes, and how many stages a rank has under each."""
FAMILIES = {"ScheduleGPipe": "gpipe", "Schedule1F1B": "1f1b"}
V_SHAPED = ("ScheduleZBVZeroBubble", "ScheduleDualPipeV")


def main() -> None:
    from torch_ranks import ranks_of

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("-p", type=int, default=4)
    parser.add_argument("-m", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--width", type=int, default=256)
    args = parser.parse_args()
    print(f"{'class':32}{'torch/ours':>12}{'quartiles':>16}{'ours, ms':>10}")
    for name in CLASSES:
        pairs = ranks_of(args.p, "bench_torch", "pairs", name, args.m, args.rounds, args.width)[0]
        low, middle, high = quantiles([theirs / ours for theirs, ours in pairs], n=4)
        mine = quantiles([ours for _, ours in pairs], n=4)[1]
        print(f"{name:32}{middle:12.3f}{f'{low:.3f}..{high:.3f}':>16}{mine * 1e3:10.1f}")


def pairs(name: str, m: int, rounds: int, width: int) -> list[tuple[float, float]]:
    """Seconds of a step of torch's class and of ours, round by round, on one rank."""
    import backend

    p = dist.get_world_size()
    model = backend.Model((1,) * (p * CLASSES[name]), width=width, sequence=64)
    batch, targets = backend.tokens(model, 2 * m)
    theirs, schedule = torchs(name, model, m, batch, targets)
    stages = backend.transformer_stages(model)
    mine = {stage: stages[stage] for stage in schedule.stages_of[dist.get_rank()]}
    pipe = backend.torch_schedule(schedule, mine, backend.next_token_loss)

    def ours() -> None:
        pipe.step(batch, target=targets)

    calls: list[Callable[[], None]] = [theirs, ours]
    found = []
    for number in range(rounds + 2):
        order = calls if number % 2 else calls[::-1]
        seconds = {call: seconds_of(call) for call in order}
        found.append((seconds[theirs], seconds[ours]))
    return found[2:]


def seconds_of(call: Callable[[], None]) -> float:
    dist.barrier()
    start = time.perf_counter()
    call()
    dist.barrier()
    return time.perf_counter() - start


def torchs(
    name: str, model: Any, m: int, batch: torch.Tensor, targets: torch.Tensor
) -> tuple[Callable[[], None], Any]:
    """A step of torch's own class, and its order of passes as a schedule of ours."""
    from torch.distributed.pipelining import PipelineStage, schedules

    import backend
    import sim
    from sim.schedule.torch_csv import from_torch_csv

    rank, p = dist.get_rank(), dist.get_world_size()
    n = p * CLASSES[name]
    numbers = [rank]
    if CLASSES[name] > 1:
        numbers = [rank, n - 1 - rank] if name in V_SHAPED else [rank, p + rank]
    modules = backend.transformer_stages(model)
    held = [PipelineStage(modules[s], s, n, torch.device("cpu")) for s in numbers]
    make = getattr(schedules, name)
    made = make(
        held[0] if CLASSES[name] == 1 else held, n_microbatches=m, loss_fn=backend.next_token_loss
    )
    if name in FAMILIES:
        schedule = sim.FAMILIES[FAMILIES[name]](p, m)
    else:
        rows = [[str(action or "") for action in made.pipeline_order[r]] for r in range(p)]
        schedule = from_torch_csv("\n".join(map(",".join, rows)), name=name)
    first, last = 0 in numbers, n - 1 in numbers

    def step() -> None:
        losses: list[torch.Tensor] | None = [] if last else None
        made.step(
            *((batch,) if first else ()), target=targets if last else None, losses=losses,
            return_outputs=False,
        )  # fmt: skip

    return step, schedule


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
