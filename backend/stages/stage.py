"""A stage at work: its module, and what every microbatch has left on it between F, B and W.

    inputs ──F──► outputs            keeps the graph, and what the graph saved
    gradients of the outputs ──B──► gradients of the inputs      frees it, puts (x, gy) aside
    ──W──► weight gradients          frees that too

A stage without a backward keeps nothing after F; one without W has it all done in B. Where a unit
is recomputed, F keeps the inputs alone, and R runs the module once more, with a graph.

The engines and the measurements all drive stages through these calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from ..torch_private.native_split import input_pass, outputs_for_input_pass, weight_pass
from .elsewhere import Copy, Parcel
from .kv_cache import KVCache, Root
from .left_behind import Kept, Pending, Saved, propagate, tensors
from .random_state import Replay, State
from .split_backward import Deferral
from .weight_gradients import accumulate, trainable

Loss = Callable[[Tensor, Any], Tensor]
"""(output, target or None) -> mean loss."""
Gradients = tuple[Tensor | None, ...]
Backward = Literal["B W", "B", ""]
"""The passes of a backward, as in `sim.Schedule.backward`."""
Lever = Literal["R", "O"]
"""What is done about the memory of a unit, as in `sim.Schedule.levers`."""


class Unit(NamedTuple):
    """What one pass works on: a microbatch, or a slice of it."""

    microbatch: int
    slice: int = 0


class LossTerm(NamedTuple):
    """The loss of one unit, and the share of the whole batch that unit is."""

    loss_fn: Loss
    target: Tensor | None
    share: float


class Stage:
    """One stage of a model while a schedule runs.

    module: takes and returns a tensor or a tuple of them; with slices, a `cache` as well.
    deferral: where the swapped modules inside put their work aside; None means torch's own split.
    first: whether nobody wants the gradient of the inputs: they are data, or no stage before this
    one trains anything. n_slices: of a microbatch. passes: those of its backward. replay: of its
    random numbers, where anything is recomputed. static: beside the weights, what is there anyway
    and is not offloaded.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        deferral: Deferral | None,
        first: bool,
        n_slices: int = 1,
        passes: Backward = "B W",
        replay: Replay | None = None,
        static: Sequence[Tensor] = (),
    ) -> None:
        self.module, self.deferral, self.first, self.n_slices = module, deferral, first, n_slices
        self.passes, self._drawing = passes, replay.drawing if replay else _drawing_unseen
        self._static = static
        self._parcels: dict[Unit, Parcel] = {}
        self._kept: dict[Unit, Kept] = {}
        self._saved: dict[Unit, Saved] = {}
        self._pending: dict[Unit, Pending] = {}
        self._kv_caches: dict[int, KVCache] = {}

    def forward(
        self,
        unit: Unit,
        inputs: Sequence[Tensor],
        *,
        start: int = 0,
        loss_term: LossTerm | None = None,
        lever: Lever | None = None,
    ) -> tuple[Tensor, ...]:
        """F: the outputs, or on the last stage the loss, cut off from the graph that is kept for B.

        start: tokens of the microbatch before this slice. loss_term: given on the last stage.
        lever: "R" where an R will come, for which only the inputs are kept; "O" where what is kept
        will be `away` for a while.
        """
        repeated = lever == "R"
        with self._drawing() as state:
            if self.passes and not repeated:
                if lever == "O":
                    self._parcels[unit] = Parcel(self._storages())
                return self._with_graph(unit, inputs, start, loss_term)
            if self.n_slices > 1:
                self._enter(unit, start, repeated=repeated)
            with torch.no_grad():
                outputs = self._computed(unit, inputs, loss_term)
        if repeated:
            self._kept[unit] = Kept(tuple(tensor.detach() for tensor in inputs), state)
        elif unit.slice == self.n_slices - 1:
            self._kv_caches.pop(unit.microbatch, None)
        return tuple(out.detach() for out in outputs)

    def rebuild(self, unit: Unit, *, start: int = 0, loss_term: LossTerm | None = None) -> None:
        """R: what F would have kept, from what it kept instead; arguments as in `forward`."""
        inputs, state = self._kept.pop(unit)
        with self._drawing(state):
            self._with_graph(unit, inputs, start, loss_term)

    def away(self, unit: Unit, copy: Copy) -> int:
        """O: what F kept is copied elsewhere and let go. Returns its bytes."""
        return self._parcels[unit].away(copy)

    def back(self, unit: Unit, copy: Copy) -> None:
        """L: it is copied back."""
        self._parcels.pop(unit).back(copy)

    def _storages(self) -> frozenset[int]:
        """Those that stay where they are; of a module that a run leaves in place."""
        held = (*self.module.parameters(), *self.module.buffers(), *self._static)
        return frozenset(id(tensor.untyped_storage()) for tensor in held)

    def _with_graph(
        self, unit: Unit, inputs: Sequence[Tensor], start: int, loss_term: LossTerm | None
    ) -> tuple[Tensor, ...]:
        """The outputs, cut off from the graph that is kept."""
        if self.n_slices > 1:
            self._enter(unit, start, repeated=False)
        leaves = tuple(
            tensor.detach().requires_grad_(not self.first and tensor.is_floating_point())
            for tensor in inputs
        )
        parcel = self._parcels.get(unit)
        with parcel.saving() if parcel else nullcontext():
            outputs = self._computed(unit, leaves, loss_term)
        loss_gradient = None
        if loss_term is not None:
            loss_gradient = torch.full_like(outputs[0], loss_term.share, requires_grad=False)
        if self.deferral is None:
            outputs = outputs_for_input_pass(outputs)
        self._saved[unit] = saved = Saved(
            leaves,
            tuple(get_gradient_edge(out) if out.requires_grad else None for out in outputs),
            outputs if self.deferral is None else (),
            loss_gradient,
        )
        if parcel:
            last = () if loss_gradient is None else (loss_gradient,)
            parcel.hold((*saved.leaves, *saved.outputs, *last))
        return tuple(out.detach() for out in outputs)

    def backward(self, unit: Unit, gradients: Gradients = ()) -> Gradients:
        """B: gradients of the inputs, from those of the outputs; W's part is put aside, or where
        there is no W, done too."""
        if self.passes == "B":
            return self.full_backward(unit, gradients)
        saved, roots = self._begin(unit, gradients)
        with self._drawing():
            if self.deferral is not None:
                propagate(roots)
                self._pending[unit] = Pending(self.deferral.take())
            else:
                self._pending[unit] = self._native(saved, gradients, roots)
        return tuple(leaf.grad for leaf in saved.leaves)

    def full_backward(self, unit: Unit, gradients: Gradients = ()) -> Gradients:
        """BW: gradients of the inputs, with those of the weights added to `.grad`."""
        saved, roots = self._begin(unit, gradients)
        at_once = nullcontext() if self.deferral is None else self.deferral.computing_at_once()
        with self._drawing(), at_once:
            propagate(roots)
        return tuple(leaf.grad for leaf in saved.leaves)

    def weight(self, units: Iterable[Unit]) -> None:
        """W of one unit, or of several with one kernel per module."""
        pending = [self._pending.pop(unit) for unit in units]
        accumulate([entry for each in pending for entry in each.contributions])
        for each in pending:
            propagate(each.roots)
            if each.groups is not None:
                weight_pass(trainable(self.module), each.groups)

    def in_transit(self, microbatch: int) -> list[Tensor]:
        """What one slice leaves for another and no pass keeps: gradients of keys and values that
        wait for the B of an earlier slice; without a backward, the keys and values themselves."""
        cache = self._kv_caches.get(microbatch)
        if not cache:
            return []
        return cache.gradients() if self.passes else cache.leaves()

    def _enter(self, unit: Unit, start: int, *, repeated: bool) -> None:
        cache = self._kv_caches.setdefault(unit.microbatch, KVCache(self.n_slices))
        cache.enter(unit.slice, start, repeated=repeated)

    def _computed(
        self, unit: Unit, inputs: Sequence[Tensor], loss_term: LossTerm | None
    ) -> tuple[Tensor, ...]:
        """What the module makes of `inputs`; on the last stage, the loss of that."""
        cache = self._kv_caches.get(unit.microbatch)
        outputs = tensors(self.module(*inputs, **({"cache": cache} if cache else {})))
        if loss_term is None:
            return outputs
        loss = loss_term.loss_fn(outputs[0], loss_term.target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn returned {shape}: it must return a tensor of one number")
        return (loss,)

    def _begin(self, unit: Unit, gradients: Gradients) -> tuple[Saved, list[Root]]:
        """What F saved of `unit`, and where its backward starts."""
        saved = self._saved.pop(unit)
        if saved.loss_gradient is not None:
            gradients = (saved.loss_gradient,)
        roots = [
            Root(edge, gradient)
            for edge, gradient in zip(saved.edges, gradients, strict=True)
            if edge is not None and gradient is not None
        ]
        if cache := self._kv_caches.get(unit.microbatch):
            roots += cache.roots(unit.slice)
            if unit.slice == 0:
                del self._kv_caches[unit.microbatch]
        return saved, roots

    def _native(self, saved: Saved, gradients: Gradients, roots: list[Root]) -> Pending:
        """torch's own B; where there is no input gradient it leaves the whole backward to W."""
        inputs = [leaf for leaf in saved.leaves if leaf.requires_grad]
        if not inputs:
            return Pending(roots=roots)
        found = gradients if saved.loss_gradient is None else (saved.loss_gradient,)
        pairs = [
            (out, gradient)
            for out, gradient in zip(saved.outputs, found, strict=True)
            if out.requires_grad and gradient is not None
        ]
        groups = input_pass(
            [out for out, _ in pairs],
            [gradient for _, gradient in pairs],
            inputs,
            parameters=trainable(self.module),
        )
        return Pending(groups=groups)


def _drawing_unseen(state: State = ()) -> AbstractContextManager[State]:
    return nullcontext(())
