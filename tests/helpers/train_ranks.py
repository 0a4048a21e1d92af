"""Ranks that train with `backend.torch_schedule`, beside the same training in one process."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import backend
import sim
from backend.ranks import notes
from backend.stages.deferral import Deferral

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WIDTH, WORDS, TOKENS, STEPS = 16, 11, 6, 5


class Block(nn.Module):
    """A transformer block of its own, so that no test leans on ours."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.view(*x.shape[:2], 2, WIDTH // 2).transpose(1, 2)
            for part in self.qkv(self.before(x)).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        x = x + self.down(functional.gelu(self.up(self.after(x))))
        return x


def model(n_stages: int) -> list[nn.Module]:
    """The stages of the whole model, always the same weights: an embedding, blocks, a head."""
    torch.manual_seed(3)
    stages = [nn.Sequential(Block()) for _ in range(n_stages)]
    stages[0] = nn.Sequential(nn.Embedding(WORDS, WIDTH), *stages[0])
    stages[-1] = nn.Sequential(*stages[-1], nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS))
    return list(stages)


def loss_fn(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, 1), target.flatten())


def batch(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(WORDS, (rows, TOKENS + 1), generator=torch.Generator().manual_seed(seed))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


@functools.cache
def plain(n_stages: int, rows: int, per_step: int = 1) -> list[float]:
    """Losses of training in one process: `per_step` batches between steps of the optimizer."""
    whole = nn.Sequential(*model(n_stages))
    optimizer = torch.optim.AdamW(whole.parameters(), lr=3e-3)
    found = []
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(per_step):
            x, y = batch(rows, step * per_step + part)
            loss = loss_fn(whole(x), y)
            torch.autograd.backward(loss)
            found.append(loss.item())
        torch.nn.utils.clip_grad_norm_(whole.parameters(), 0.5)
        optimizer.step()
    return found


def trained(
    schedule: sim.Schedule,
    modules: dict[int, nn.Module],
    *,
    rows: int,
    per_step: int = 1,
    part: Callable[[Tensor], Tensor] = lambda rows: rows,
    **options: Any,
) -> list[float]:
    """The same through the pipeline. part: which rows of a batch this rank's pipeline trains on."""
    pipe = backend.torch_schedule(schedule, modules, loss_fn, **options)
    parameters = {p for module in modules.values() for p in module.parameters()}
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    found = []
    for step in range(STEPS):
        optimizer.zero_grad()
        for each in range(per_step):
            x, y = batch(rows, step * per_step + each)
            found.append(float(pipe.step(part(x), target=part(y))))
        pipe.clip_grad_norm_(0.5)
        optimizer.step()
    return found


def families(*names: str) -> dict[str, float]:
    """The worst loss error of training with each family ("name" or "name:native")."""
    torch.set_default_dtype(torch.float64)
    rank, p = dist.get_rank(), dist.get_world_size()
    found = {}
    for name in names:
        family, _, split = name.partition(":")
        m = 2 * p if family == "dualpipe-v" else p + 1
        schedule = sim.FAMILIES[family](p, m)
        losses = trained(schedule, mine_of(schedule, rank), rows=2 * m, split=split or "deferred")
        expected = plain(schedule.n_stages, 2 * m)
        found[name] = worst(losses, expected)
    return found


def worst(found: list[float], expected: list[float]) -> float:
    assert len(found) == len(expected)
    return max(abs(a - b) for a, b in zip(found, expected, strict=True))


def mine_of(schedule: sim.Schedule, rank: int) -> dict[int, nn.Module]:
    stages = model(schedule.n_stages)
    return {stage: stages[stage] for stage in schedule.stages_of[rank]}


def beside_data_parallel(*names: str) -> dict[str, Any]:
    """Four ranks as 2 x 2: the worst loss error, or the sentence of a refusal, of each variant."""
    torch.set_default_dtype(torch.float64)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("pp", "dp"))
    rank, half = mesh["pp"].get_local_rank(), mesh["dp"].get_local_rank()
    group = mesh["pp"].get_group()
    found: dict[str, Any] = {}
    for name in names:
        family, *how = name.split("+")
        schedule = sim.FAMILIES[family](2, 4)
        modules = mine_of(schedule, rank)
        per_step = 2 if "accumulate" in how else 1
        if "checkpoint" in how:
            for module in modules.values():
                for number, child in module.named_children():
                    if isinstance(child, Block):
                        setattr(module, number, Checkpointed(child))
        for stage, module in modules.items():
            if "fsdp" in how or "reshard" in how:
                again = "reshard" in how
                for child in module.children():
                    if isinstance(child, Block | Checkpointed):
                        fully_shard(child, mesh=mesh["dp"], reshard_after_forward=again)
                fully_shard(module, mesh=mesh["dp"], reshard_after_forward=again)
            elif "ddp" in how:
                modules[stage] = nn.parallel.DistributedDataParallel(
                    module, process_group=mesh["dp"].get_group()
                )
            elif "tensor" in how:
                for child in module.children():
                    if isinstance(child, Block):
                        halves = {"up": ColwiseParallel(), "down": RowwiseParallel()}
                        parallelize_module(child, mesh["dp"], halves)
        wrapped = {"fsdp", "reshard", "ddp"} & {*how}
        try:
            losses = trained(
                schedule, modules, rows=16, per_step=per_step, group=group,
                split="native" if "native" in how else "deferred",
                part=(lambda rows: rows.chunk(2)[half]) if wrapped else (lambda rows: rows),
            )  # fmt: skip
        except backend.Mismatch as error:
            found[name] = str(error)
            continue
        mean = torch.tensor(losses)
        dist.all_reduce(mean, group=mesh["dp"].get_group())
        found[name] = worst((mean / 2).tolist(), plain(schedule.n_stages, 16, per_step))
    return found


class Scaled(nn.Module):
    """A stage that takes more than its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, *, factor: Tensor, twice: bool) -> Any:
        return self.inner(x) * factor[:, None, None] * (2 if twice else 1)


class Squared(nn.Module):
    """A matrix in a function of torch that no rule of the split covers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        wide = x[..., :1].expand(*x.shape[:-1], WIDTH) if x.shape[-1] != WIDTH else x
        added: Tensor = torch.tensordot(wide, self.weight, 1).mean(-1, keepdim=True)
        return x + added


class Checkpointed(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Any:
        return checkpoint(self.inner, x, use_reentrant=False)


def details() -> dict[str, Any]:
    """Two ranks: what else a training step can be given, beside plain torch."""
    torch.set_default_dtype(torch.float64)
    rank = dist.get_rank()
    found: dict[str, Any] = {}
    schedule = sim.FAMILIES["v-half"](2, 4)
    x, y = batch(10)
    lengths = [1, 4, 2, 3]

    def gradients(modules: dict[int, nn.Module]) -> list[Tensor]:
        return [p.grad for module in modules.values() for p in module.parameters()]  # type: ignore[misc]

    def reference(
        x: Tensor, y: Tensor, *, freeze: Sequence[int] = (), times: int = 1,
        at: Sequence[int] = schedule.stages_of[rank],
    ) -> tuple[float, Any]:  # fmt: skip
        stages = model(4)
        for number in freeze:
            stages[number].requires_grad_(False)
        loss = torch.zeros(())
        for _ in range(times):
            loss = loss_fn(nn.Sequential(*stages)(x), y)
            torch.autograd.backward(loss)
        return loss.item(), gradients({s: stages[s] for s in at})

    def error(modules: dict[int, nn.Module], loss: Tensor, expected: tuple[float, Any]) -> float:
        pairs = [(a, b) for a, b in zip(gradients(modules), expected[1], strict=True)]
        assert all((a is None) == (b is None) for a, b in pairs)
        wrong = [float((a - b).abs().max()) for a, b in pairs if a is not None]
        return max([abs(float(loss) - expected[0]), *wrong])

    modules = mine_of(schedule, rank)
    pipe = backend.torch_schedule(schedule, modules, loss_fn)
    uneven = {"x": [*torch.split(x, lengths)] if rank == 0 else None,
              "target": [*torch.split(y, lengths)] if rank == 0 else None}  # fmt: skip
    loss = pipe.step(**uneven)
    found["uneven"] = error(modules, loss, reference(x, y))
    found["eval"] = abs(float(pipe.eval(**uneven)) - float(loss))
    found["eval keeps gradients"] = error(modules, loss, reference(x, y))
    first = x[:8], y[:8]
    pipe.step(first[0], target=first[1])  # other shapes: inferred again, gradients stay
    again, after = reference(x, y), reference(*first)
    total = [a + b for a, b in zip(again[1], after[1], strict=True)]
    found["other shapes"] = error(modules, loss, (again[0], total))
    found["state"] = pipe.state()
    for frozen in (0, 1):
        modules = mine_of(schedule, rank)
        if frozen in modules:
            modules[frozen].requires_grad_(False)
        pipe = backend.torch_schedule(schedule, modules, loss_fn)
        loss = pipe.step(*first[:1], target=first[1])
        found[f"frozen {frozen}"] = error(modules, loss, reference(*first, freeze=[frozen]))
    for name, family, freeze in (
        ("first", "interleaved", [0]), ("two in front", "interleaved", [0, 1]),
        ("two in front of a turn", "v-half", [0, 1]), ("behind", "zb-v", [0, 2]),
    ):  # fmt: skip
        planned = sim.frozen(sim.FAMILIES[family](2, 4), freeze)
        stages = model(4)
        for number in freeze:
            stages[number].requires_grad_(False)
        modules = {s: stages[s] for s in planned.stages_of[rank]}
        pipe = backend.torch_schedule(planned, modules, loss_fn)
        for _ in range(2):  # what the first step leaves behind must not trouble the second
            for module in modules.values():
                module.zero_grad()
            loss = pipe.step(*first[:1], target=first[1])
        right = reference(*first, freeze=freeze, at=planned.stages_of[rank])
        found[f"frozen in the schedule, {name}"] = error(modules, loss, right)
        if name == "first":
            found["messages"] = messages(functools.partial(pipe.step, first[0], target=first[1]))
    for family, stages_again in (("v-half", None), ("1f1b", [0]), ("zb-h1", [1])):
        bare = sim.FAMILIES[family](2, 4)
        planned = sim.recomputed(bare, stages_again)
        stages = model(bare.n_stages)
        modules = {s: stages[s] for s in planned.stages_of[rank]}
        calls = [0] * bare.n_stages
        for number, module in modules.items():
            module.register_forward_pre_hook(functools.partial(_count, calls, number))
        pipe = backend.torch_schedule(planned, modules, loss_fn)
        pipe.step(*first[:1], target=first[1])  # shapes are inferred by forwards of their own
        before = list(calls)
        for module in modules.values():
            module.zero_grad()
        loss = pipe.step(*first[:1], target=first[1])
        every = model(bare.n_stages)
        aim = loss_fn(nn.Sequential(*every)(first[0]), first[1])
        torch.autograd.backward(aim)
        due = aim.item(), gradients({s: every[s] for s in planned.stages_of[rank]})
        found[f"recomputed {family}"] = error(modules, loss, due)
        found[f"forwards {family}"] = {s: calls[s] - before[s] for s in modules}
    mixed = sim.FAMILIES["dualpipe-v"](2, 4)
    stages = model(4)
    stages[0][1], stages[3][0] = Checkpointed(stages[0][1]), Checkpointed(stages[3][0])  # type: ignore[index,operator]
    modules = {s: stages[s] for s in mixed.stages_of[rank]}
    pipe = backend.torch_schedule(mixed, modules, loss_fn)
    loss = pipe.step(*first[:1], target=first[1])
    found["mixed"] = error(modules, loss, reference(*first, at=mixed.stages_of[rank]))
    found["put aside"] = put_aside(functools.partial(pipe.step, first[0], target=first[1]))
    found["matrices of W"] = sum(
        len([p for p in modules[op.stage].parameters() if p.ndim > 1])
        for op in mixed.orders[rank]
        if op.kind == "W"
    )
    modules = mine_of(schedule, rank)
    for family in ("v-half", "zb-v", "v-half"):  # the same modules under several schedules in turn
        pipe = backend.torch_schedule(sim.FAMILIES[family](2, 4), modules, loss_fn)
        loss = pipe.step(first[0], target=first[1])
    found["several schedules"] = error(modules, loss, reference(*first, times=3))
    alone = modules[schedule.stages_of[rank][-1]]
    alone.zero_grad()
    torch.autograd.backward(alone(torch.ones(1, TOKENS, WIDTH)).square().sum())
    found["plain backward between steps"] = float(any(p.grad is None for p in alone.parameters()))
    padded = first[1].clone()
    padded[0], padded[3, :2], padded[6:] = (
        -100,
        -100,
        -100,
    )  # of the last microbatch nothing is left
    for name, weigh in (("padded", lambda aim: (aim >= 0).sum()), ("warned", None)):
        modules = mine_of(schedule, rank)
        pipe = backend.torch_schedule(schedule, modules, loss_fn, weigh=weigh)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                loss = pipe.step(first[0], target=padded)
        found[name] = [str(one.message) for one in caught if "negative" in str(one.message)]
        if weigh is not None:
            assert not found[name]
            found[name] = error(modules, loss, reference(first[0], padded, times=2))
    modules = mine_of(schedule, rank)
    scaled = {stage: Scaled(module) for stage, module in modules.items()}
    factor = torch.linspace(1, 2, 8)
    pipe = backend.torch_schedule(schedule, scaled, loss_fn)
    loss = pipe.step(first[0], target=first[1], factor=factor, twice=True)
    output = first[0]
    for module in model(4):
        output = Scaled(module)(output, factor=factor, twice=True)
    found["keywords"] = abs(float(loss) - float(loss_fn(output, first[1]).detach()))
    stages = model(4)
    own = {s: stages[s] for s in schedule.stages_of[rank]}
    for module in own.values():
        module.append(Squared())  # type: ignore[operator]
    pipe = backend.torch_schedule(schedule, own, lambda output, target: output.square().mean())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            pipe.step(first[0], target=first[1])
    found["warnings"] = [str(one.message) for one in caught if "split off" in str(one.message)]
    stages = model(4)
    stages[3][-1].weight = stages[0][0].weight  # type: ignore[index]
    tied = {s: stages[s] for s in schedule.stages_of[rank]}
    pipe = backend.torch_schedule(schedule, tied, loss_fn)
    loss = pipe.step(first[0], target=first[1])
    norm = pipe.clip_grad_norm_(1e9)
    whole = nn.Sequential(*model(4))
    whole[3][-1].weight = whole[0][0].weight  # type: ignore[index]
    plain_loss = loss_fn(whole(first[0]), first[1])
    torch.autograd.backward(plain_loss)
    expected = torch.nn.utils.clip_grad_norm_(whole.parameters(), 1e9)
    found["tied"] = max(abs(float(loss) - float(plain_loss)), abs(float(norm) - float(expected)))
    return found


def put_aside(step: Callable[[], Any]) -> int:
    """How many weight gradients the backward passes of a step leave to its W."""
    with patch.object(Deferral, "put", autospec=True, side_effect=Deferral.put) as put:
        step()
    return put.call_count


def _count(calls: list[int], stage: int, *_: Any) -> None:
    calls[stage] += 1


def messages(step: Callable[[], Any]) -> int:
    """How many messages torch's runtime says that this rank sends or receives in a step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step()
    return len([e for e in seen.events() if re.fullmatch(r"PP:\d+(SEND|RECV)_[FB]\d+", e.name)])


def sentences() -> dict[str, str]:
    """Two ranks: what each misuse is answered with, on this rank."""
    torch.set_default_dtype(torch.float64)
    rank = dist.get_rank()
    half = sim.FAMILIES["v-half"](2, 4)
    x, y = batch(8)
    found: dict[str, str] = {}

    def refused(name: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except backend.Mismatch as error:
            found[name] = str(error)

    def made(schedule: sim.Schedule, **options: Any) -> Any:
        return backend.torch_schedule(schedule, mine_of(schedule, rank), loss_fn, **options)

    def other(name: str, m: int) -> sim.Schedule:
        return sim.FAMILIES[name](2, m) if rank else half

    refused("schedule", lambda: made(other("zb-v", 4)))
    refused("microbatches", lambda: made(other("v-half", 6)))
    order = half.orders[0], tuple(reversed(half.orders[1]))
    refused("order", lambda: made(dataclasses.replace(half, orders=order) if rank else half))
    refused("split", lambda: made(half, split="native" if rank else "deferred"))
    refused("devices", lambda: made(sim.FAMILIES["1f1b"](4, 4)))
    refused("slices", lambda: made(sim.FAMILIES["seq1f1b"](2, 4)))
    refused("modules", lambda: backend.torch_schedule(half, {}, loss_fn))
    pipe = made(half)
    refused("no x", lambda: pipe.step(target=y))
    refused("rows", lambda: pipe.step(x[:7], target=y[:7]))
    refused("shapes", lambda: pipe.step(x[:, : 6 - rank], target=y))
    refused("methods", lambda: (pipe.eval if rank else pipe.step)(x, target=y))
    refused("list", lambda: pipe.step([x], target=y))
    refused("targets", lambda: pipe.step(x, target=y[:4]))
    refused("not a mapping", lambda: backend.torch_schedule(half, [nn.Identity()] * 2, loss_fn))  # type: ignore[arg-type]

    def under(context: Any) -> None:
        with context:
            pipe.step(x, target=y)

    refused("no_grad", lambda: under(torch.set_grad_enabled(rank == 0)))
    refused("autocast", lambda: under(torch.autocast("cpu", torch.bfloat16, enabled=rank == 1)))
    refused("keyword rows", lambda: pipe.step(x, target=y, mask=torch.ones(4, 4)))
    pipe.step(x, target=y)  # nothing of all this has broken it
    return found


def failing(how: str, which: int) -> None:
    """Trains until a rank fails in the forward of its first stage: raises PipelineFault."""
    torch.set_default_dtype(torch.float64)
    rank, p = dist.get_rank(), dist.get_world_size()
    schedule = sim.FAMILIES["v-half"](p, 4)
    modules = mine_of(schedule, rank)
    forwards = itertools.count()

    def fail(*_: Any) -> None:
        if next(forwards) == 6:  # one forward finds the shapes, four are the first step's
            WAYS[how]()

    if rank == which:
        modules[rank].register_forward_hook(fail)
    pipe = backend.torch_schedule(schedule, modules, loss_fn)
    x, y = batch(8)
    for _ in range(3):
        pipe.step(x, target=y)


def _raise() -> None:
    raise KeyError("no such row")


def misbehaving(how: str) -> None:
    """Two ranks, of which the second has a stage or a loss that is wrong: raises PipelineFault."""
    torch.set_default_dtype(torch.float64)
    notes.PATIENCE = 0.2
    rank = dist.get_rank()
    schedule = sim.FAMILIES["1f1b"](2, 4)
    changes: dict[str, Callable[[Any], Any]] = {
        "dict": lambda out: {"logits": out}, "nothing": lambda out: None
    }  # fmt: skip
    losses: dict[str, Callable[[Any, Any], Any]] = {
        "no graph": lambda out, target: loss_fn(out, target).detach(),
        "vector": lambda out, target: out.sum(-1),
    }
    modules = mine_of(schedule, rank)
    if rank and how in changes:
        modules[1] = Changed(modules[1], changes[how])
    pipe = backend.torch_schedule(schedule, modules, losses.get(how, loss_fn))
    x, y = batch(8)
    pipe.step(x, target=y)


class Changed(nn.Module):
    """A stage that makes something else of what it returns."""

    def __init__(self, inner: nn.Module, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.inner(x))


def leaving(how: str) -> None:
    """Trains until the last rank does something else between two steps: raises PipelineFault."""
    notes.PATIENCE = 0.3
    torch.set_default_dtype(torch.float64)
    rank, p = dist.get_rank(), dist.get_world_size()
    schedule = sim.FAMILIES["1f1b"](p, 4)
    pipe = backend.torch_schedule(schedule, mine_of(schedule, rank), loss_fn)
    x, y = batch(8)
    for step in range(3):
        if rank == p - 1 and step == 1:
            if how == "kill":
                _kill()
            if how == "raise":  # as it ends the process of a user
                error = KeyError("no such file")
                sys.excepthook(KeyError, error, None)
                os._exit(1)
            if how == "sleep":
                time.sleep(4.5)
        pipe.step(x, target=y)
        if how != "forgets" or rank < p - 1:
            pipe.clip_grad_norm_(1.0)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


WAYS: dict[str, Callable[[], Any]] = {
    "raise": _raise,
    "exit": lambda: os._exit(3),
    "kill": _kill,
    "hang": lambda: time.sleep(4.5),
}


def example(name: str, *arguments: Any) -> Any:
    """What `main` of a script in docs/examples returns, and the same steps in one process."""
    torch.set_default_dtype(torch.float64)
    sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(name).main(*arguments)


def example_in_one_process(rows: int, steps: int, per_step: int = 1) -> list[float]:
    """Losses of the examples' model trained without a pipeline."""
    sys.path.insert(0, str(EXAMPLES))
    example = importlib.import_module("model")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        whole = nn.Sequential(*example.stages(1))
        optimizer = torch.optim.AdamW(whole.parameters(), lr=1e-2)
        found = []
        for step in range(steps):
            optimizer.zero_grad()
            for part in range(per_step):
                x, y = example.batch(rows, step * per_step + part)
                loss = example.loss_fn(whole(x), y)
                loss.backward()
                found.append(loss.item())
            torch.nn.utils.clip_grad_norm_(whole.parameters(), 1.0)
            optimizer.step()
        return found
    finally:
        torch.set_default_dtype(before)
        sys.path.remove(str(EXAMPLES))
