"""A schedule in a user's own training loop, on any number of processes.

    torchrun --nproc-per-node 4 train.py

    schedule = sim.FAMILIES["v-half"](4, 8)
    mine = schedule.stages_of[dist.get_rank()]
    pipe = backend.torch_schedule(schedule, {s: build(s) for s in mine}, loss_fn)
    for x, y in batches:
        optimizer.zero_grad()
        loss = pipe.step(x, target=y)
        pipe.clip_grad_norm_(1.0)
        optimizer.step()

torch's own pipeline runtime sends, receives and computes; the order of passes is ours, and so is
what makes it train: gradients are added and never scaled afterwards, so several steps accumulate;
weight gradients are put aside only where the schedule has a W; and what the ranks disagree about is
one sentence before anything runs.

Not seen from here: weights tied between stages of different ranks are two weights. Sum their
gradients over the two ranks before the optimizer's step, or take a V schedule, which has the first
and the last stage on one rank: there, one parameter in two stages is one parameter.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from sim import Schedule

from ..ranks.agreement import agreed, agreed_step, claim, fingerprint, host_group
from ..ranks.faults import Mismatch, report_briefly
from ..ranks.watch import Watch, ranks_of
from ..stages.split_backward import Split, deferral_of, deferring, unsplit, warn_unsplit
from ..stages.unsplit_share import unsplit_share
from ..torch_private.boundaries import prepare_boundaries
from ..torch_private.runtime import (
    microbatches_with,
    pipeline_runtime,
    play,
    quiet_runtime,
    stages_with,
)
from ..torch_private.versions import BOUNDARIES, checked_torch
from .checks import objection
from .clipping import clipped
from .microbatches import Batch, Goal, Weigh, announced, batch_of, padding, tensors_in
from .recompute import rebuilt_units, without_rebuilding
from .stage import TrainedStage

Loss = Callable[[Any, Any], Tensor]
"""(output of the last stage, target) -> mean loss, a tensor of one number."""


def torch_schedule(
    schedule: Schedule,
    modules: Mapping[int, nn.Module],
    loss_fn: Loss,
    *,
    group: dist.ProcessGroup | None = None,
    split: Split = "deferred",
    device: torch.device | str | None = None,
    weigh: Weigh | None = None,
) -> TorchSchedule:
    """`schedule` for training with torch; every rank of `group` has to call it.

    modules: stage -> module, of this rank's stages only (`schedule.stages_of[rank]`), on `device`;
        each takes and returns a tensor or a tuple of them. Wrap them before: `fully_shard`,
        checkpointing, `torch.compile`, and DDP where the stage has no W.
    loss_fn: called on the rank of the last stage with its output and the target.
    group: the ranks of this pipeline, in the order of its devices; all of the job by default.
    split: how B leaves out weight gradients: by putting them aside, or by torch's own means.
    device: what this rank computes on; where its parameters are, by default.
    weigh: target of a microbatch -> how many numbers its loss is a mean of, where that are not all
        its elements: `lambda target: (target != -100).sum()` where padding is left out.

    Raises Mismatch (a ValueError), the same on every rank, for ranks that do not fit together and
    for what torch's runtime cannot run; RuntimeError for a torch whose private names are unknown.
    """
    report_briefly()
    checked_torch(oldest=BOUNDARIES)
    ranks = ranks_of(group)
    rank = dist.get_rank(group)
    where = _device(modules, device)
    problem = objection(schedule, modules, rank=rank, n_ranks=len(ranks), split=split)
    mine = claim(schedule, problem, split=split, device=where.type)
    host = host_group(group)
    first = agreed(mine, host, ranks)
    watch = Watch(without_rebuilding(schedule), rank, ranks, first.key)
    return TorchSchedule(
        schedule, modules, loss_fn, group=group, host=host, split=split, device=where, watch=watch,
        weigh=weigh,
    )  # fmt: skip


class TorchSchedule:
    """This rank's part of a schedule in training; `torch_schedule` makes one."""

    def __init__(
        self,
        schedule: Schedule,
        modules: Mapping[int, nn.Module],
        loss_fn: Loss,
        *,
        group: dist.ProcessGroup | None,
        host: dist.ProcessGroup | None,
        split: Split,
        device: torch.device,
        watch: Watch,
        weigh: Weigh | None = None,
    ) -> None:
        self._weigh, self._unweighed = weigh, weigh is None
        self.schedule, self.split, self.device, self.group = schedule, split, device, group
        self._host, self._watch, self._loss_fn = host, watch, loss_fn
        self._modules = [modules[stage] for stage in sorted(modules)]
        apart, fused = (stages_with(schedule.orders, kind) for kind in ("W", "BW"))
        later = [modules[stage] for stage in sorted(modules) if stage in apart]
        self._deferral = deferral_of(*later) if later and split == "deferred" else None
        self._unasked = later if self._deferral is not None else []
        self._stages = [
            TrainedStage(
                modules[stage], stage, schedule.n_stages, device,
                group=group, deferral=self._deferral if stage in apart else None,
                apart=microbatches_with(schedule.orders, "W", stage),
                watch=watch, whole="BW" if stage in fused else "B",
                rebuilt={m for s, m in rebuilt_units(schedule) if s == stage},
            )
            for stage in sorted(modules)
        ]  # fmt: skip
        self._runtime = pipeline_runtime(
            self._stages,
            without_rebuilding(schedule),
            loss=self._loss,
            mean=False,
        )
        self._known: dict[Hashable, list[Any]] = {}
        self._laid_out: list[Hashable] = []
        self._broken = ""

    def step(self, x: Any = None, *, target: Any = None, **keywords: Any) -> Tensor:
        """One pass over the microbatches: adds to `.grad`, and returns the mean loss.

        x: what the first stage is called with, a tensor, a tuple of them, or a list of one of these
            per microbatch, of any lengths; None where this rank has no first stage.
        target: what the loss compares with, likewise; None where this rank has no last stage.
        keywords: for this rank's own stages; tensors are cut like x, lists are one entry per
            microbatch, everything else goes to all of them.

        The loss is a scalar, float64, on every rank of the group. Uneven microbatches weigh as
        much as their targets have elements, or as `weigh` says. Call it again before the
        optimizer's step to accumulate; divide the loss in `loss_fn` if the sum is to be a mean.
        """
        with self._watch.call("step"):
            return self._played(x, target, keywords, training=True)

    def eval(self, x: Any = None, *, target: Any = None, **keywords: Any) -> Tensor:
        """The mean loss of forwards alone, without gradients; otherwise as `step`."""
        with self._watch.call("eval"), torch.no_grad():
            return self._played(x, target, keywords, training=False)

    def clip_grad_norm_(self, limit: float) -> Tensor:
        """Scales all gradients so that their 2-norm is at most `limit`; returns the norm before.

        Over all stages of all ranks, sharded or not; every rank has to call it.
        """
        with self._watch.call("clip_grad_norm_"):
            return clipped(self._modules, limit, group=self.group, device=self.device)

    def state(self) -> dict[str, Any]:
        """What to keep beside a checkpoint: which schedule wrote it.

        Weights and optimizer belong to the modules: name them by layer, not by stage, and any
        other schedule can go on from them.
        """
        return {
            "schedule": self.schedule.name,
            "hash": fingerprint(self.schedule),
            "devices": self.schedule.n_devices,
            "stages": self.schedule.n_stages,
            "microbatches": self.schedule.n_microbatches,
            "placement": list(self.schedule.placement),
            "split": self.split,
        }

    def _played(self, x: Any, target: Any, keywords: Any, *, training: bool) -> Tensor:
        if self._broken:
            raise Mismatch(f"this pipeline has failed before ({self._broken}): build a new one")
        batch = batch_of(
            x, target, keywords, self.schedule.n_microbatches,
            first=self._has(0), last=self._has(self.schedule.n_stages - 1), weigh=self._weigh,
        )  # fmt: skip
        if self._unweighed and batch.has_target:
            self._warn_of_padding(batch)
        if training and not torch.is_grad_enabled():
            why = "step() under no_grad adds no gradient: call eval(), or leave no_grad"
            batch = batch._replace(problem=why)
        keys = self._keys(batch, training=training)
        losses: list[Tensor] = []
        split = nullcontext() if self._deferral is None else deferring(self._deferral)
        try:
            with self._watch.step(), quiet_runtime(), split:
                self._lay_out(keys, batch, training=training)
                losses = play(self._runtime, self._stages, batch.parts, training=training)
                if training and self._unasked:
                    self._warn_once(batch)
        except Exception as error:
            self._broken = str(error)
            raise
        mean = torch.zeros((), dtype=torch.float64, device=self.device)
        if losses:
            mean += torch.stack([loss.detach().double() for loss in losses]).sum()
        dist.broadcast(mean, group=self.group, group_src=self.schedule.placement[-1])
        return mean

    def _warn_of_padding(self, batch: Batch) -> None:
        """One warning where a mean over microbatches is none over what their losses count. On a
        GPU only the first batch is looked at: a look waits for the device."""
        self._unweighed = self.device.type == "cpu"
        if self._has(self.schedule.n_stages - 1) and (words := padding(batch.targets)):
            self._unweighed = False
            warnings.warn(words, stacklevel=4)

    def _warn_once(self, batch: Batch) -> None:
        """Name the weights that no W computes, now that a step has shown which they are."""
        later, self._unasked = self._unasked, []
        deferral = self._deferral
        assert deferral is not None
        for stage in self._stages:
            module = stage.submod
            if not (names := module in later and unsplit(module, deferral)):
                continue
            share = None
            with contextlib.suppress(Exception), _untouched([module]), torch.random.fork_rng():
                if not isinstance(module, FSDPModule):  # whose gradients are not ours to ask for
                    share = unsplit_share(module, deferral, stage.example(batch), batch.keywords[0])
            deferral.take()
            warn_unsplit(names, share)

    def _lay_out(self, keys: list[Hashable], batch: Batch, *, training: bool) -> None:
        """The buffers of what crosses the boundaries, with the shapes of these microbatches."""
        if keys == self._laid_out:
            return
        new = any(key not in self._known for key in keys)
        with _untouched(self._modules) if new else nullcontext():
            prepare_boundaries(
                self._runtime, self._stages, batch.parts, keys=keys, known=self._known,
                training=training,
            )  # fmt: skip
        if self._deferral is not None:
            self._deferral.take()  # what torch's inference of shapes has put aside
        self._laid_out = keys
        self._watch.begin()

    def _loss(self, output: Any, goal: Goal) -> Tensor:
        with self._watch.loss():
            if not goal.share:  # nothing in it counts, and its mean is 0 / 0
                return torch.stack([leaf.sum().double() for leaf in tensors_in(output)]).sum() * 0.0
            found = self._loss_fn(output, goal.value)
            if not isinstance(found, Tensor) or found.numel() != 1:
                shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise ValueError(f"loss_fn returned {shape}: it must return one number, a tensor")
            if torch.is_grad_enabled() and not found.requires_grad and _wants_gradient(output):
                raise ValueError(
                    "loss_fn returned a number without its graph: nothing would be trained; do not "
                    "detach it"
                )
            return (found.reshape(()) if found.ndim else found) * goal.share

    def _keys(self, batch: Batch, *, training: bool) -> list[Hashable]:
        """What decides the shapes of each microbatch, agreed upon by all ranks."""
        kind = self.device.type
        cast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        frozen = [not any(p.requires_grad for p in module.parameters()) for module in self._modules]
        autocast = f" under autocast to {str(cast)[6:]}" if cast else ""
        mode = ("eval()", "step()")[training] + autocast
        given, words = announced(batch, mode=mode, rest=f"{cast} {frozen}")
        keys = agreed_step(given, words, self._host, self._watch.ranks)
        return [(training, *key) for key in keys]

    def _has(self, stage: int) -> bool:
        return any(mine.stage_index == stage for mine in self._stages)


def _device(modules: Mapping[int, nn.Module], device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    given = modules.values() if isinstance(modules, Mapping) else ()
    found = [module for module in given if isinstance(module, nn.Module)]
    parameters = (p for module in found for p in module.parameters())
    return next((p.device for p in parameters), torch.device("cpu"))


def _wants_gradient(output: Any) -> bool:
    return any(leaf.requires_grad for leaf in tensors_in(output))


@contextmanager
def _untouched(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Gradients and buffers as they were: torch's inference of shapes runs the real modules."""
    gradients = [(p, p.grad) for module in modules for p in module.parameters()]
    buffers = [(b, b.clone()) for module in modules for b in module.buffers()]
    yield
    for parameter, gradient in gradients:
        parameter.grad = gradient
    with torch.no_grad():
        for buffer, kept in buffers:
            buffer.copy_(kept)
