"""torchtitan's debug model under a schedule of ours, by torchtitan's own functions.

torchrun --nproc-per-node 2 docs/examples/train_torchtitan.py v-half

Needs torchtitan 0.3.0 and triton, and no GPU. torchtitan's trainer wants one, so this calls what
the trainer calls: its model, the cut into stages, the schedule from a CSV, its clipping. On GPUs
`python -m sim plan ... --torchtitan-dir out` writes the command line that does it all.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

import sim

NAMES = {"straight": "1F1B", "loop": "Interleaved1F1B", "V": "ZBVZeroBubble"}
"""What torchtitan has to hear beside a CSV, by placement: it puts the stages where these do."""


def main(family: str = "v-half", steps: int = 3) -> list[float]:
    """The loss of every step, the same on every rank."""
    from torchtitan.components.loss import CrossEntropyLoss
    from torchtitan.config import ParallelismConfig
    from torchtitan.distributed import pipeline_parallel, utils

    rank, p = dist.get_rank(), dist.get_world_size()
    schedule = sim.FAMILIES[family](p, 2 * p)
    name = NAMES[sim.FAMILIES[family].placement]
    mesh = init_device_mesh("cpu", (p,), mesh_dim_names=("pp",))
    loss_fn = CrossEntropyLoss.Config(global_vocab_size=None).build(compile_config=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedule.csv"
        sim.write_torch_csv(schedule, path)
        parallelism = ParallelismConfig(
            pipeline_parallel_degree=p,
            pipeline_parallel_schedule=name,
            pipeline_parallel_schedule_csv=str(path),
            pipeline_parallel_microbatch_size=1,
        )
        stages, parts = pipeline_parallel._pipeline_module_split(
            model(), mesh, name, torch.device("cpu"), module_names(schedule.n_stages)
        )
        runtime = pipeline_parallel._build_pipeline_schedule(
            parallelism=parallelism,
            local_batch_size=schedule.n_microbatches,
            stages=stages,
            loss_fn=loss_fn,
        )
    assert sorted(stage.stage_index for stage in stages) == list(schedule.stages_of[rank])
    weights = [weight for part in parts for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=8e-4)
    first, last = (any(getattr(s, end) for s in stages) for end in ("is_first", "is_last"))
    found = []
    for step in range(steps):
        x, y = batch(schedule.n_microbatches, step)
        optimizer.zero_grad()
        losses: list[torch.Tensor] | None = [] if last else None
        runtime.step(
            *((x,) if first else ()),
            target=y if last else None,
            losses=losses,
            loss_kwargs={"global_valid_tokens": torch.tensor(float(y.numel()))},
            return_outputs=False,
        )
        utils.clip_grad_norm_(weights, 1.0, foreach=True, pp_mesh=mesh)
        optimizer.step()
        total = torch.zeros((), dtype=torch.float64)
        if losses:
            total += torch.stack(losses).sum().detach()
        dist.all_reduce(total)
        found.append(total.item())
    return found


def in_one_process(p: int, steps: int = 3) -> list[float]:
    """The same training without a pipeline: losses, by which the above can be checked."""
    from torchtitan.components.loss import CrossEntropyLoss

    loss_fn = CrossEntropyLoss.Config(global_vocab_size=None).build(compile_config=None)
    whole = model()
    optimizer = torch.optim.AdamW(whole.parameters(), lr=8e-4)
    found = []
    for step in range(steps):
        x, y = batch(2 * p, step)
        optimizer.zero_grad()
        loss, _ = loss_fn(whole(x), y, torch.tensor(float(y.numel())))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(whole.parameters(), 1.0)
        optimizer.step()
        found.append(loss.item())
    return found


def model() -> Any:
    """torchtitan's llama3 debug model, always the same weights."""
    from torchtitan.distributed import utils
    from torchtitan.models import llama3
    from torchtitan.models.common.attention import ScaledDotProductAttention

    utils.set_spmd_backend("partial_dtensor")
    # Its attention for GPUs does not run here, and it refuses this one by name.
    llama3.get_attention_config = lambda backend: ScaledDotProductAttention.Config()
    torch.manual_seed(0)
    made = llama3.model_registry("debugmodel").model.build()
    with torch.no_grad():
        made.init_states(buffer_device=None)
    return made.train()


def module_names(n_stages: int) -> list[list[str]]:
    """What each stage holds, as even as it comes: embedding, layers, norm and head."""
    from torchtitan.models import llama3

    n_layers = len(llama3.model_registry("debugmodel").model.layers)
    names = ["tok_embeddings", *(f"layers.{i}" for i in range(n_layers)), "norm", "lm_head"]
    ends = [round(len(names) * (stage + 1) / n_stages) for stage in range(n_stages)]
    return [names[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def batch(rows: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens, and the next ones."""
    drawn = torch.randint(64, (rows, 33), generator=torch.Generator().manual_seed(step))
    return drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(*main(sys.argv[1] if len(sys.argv) > 1 else "v-half"))
    dist.destroy_process_group()
