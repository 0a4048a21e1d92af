"""The agents of a streamed run: threads that load, the caller that computes, and what they share.

Memory is granted in layer order, as in `sim.pipeload.play`, so that no order of threads can block.
Whatever ends a run, all loaders have ended and no weight is held when `play` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sim.pipeload import Compute, MemoryChange, Read, Strategy, StreamedModel

from ..live_bytes import LiveBytes
from .fit import Weight, require_fit, weights_of
from .layer_files import CHUNK, LayerFileError, StoredModel, read_part
from .throttle import RateLimiter, Throttle

POLL_SECONDS = 0.2
"""How often a waiting inference agent checks that its loaders are alive."""


class PipeloadError(ValueError):
    """A streamed run that could not go on; everything it held is free again."""


class _Stopped(Exception):
    """The run has ended, and so does the loader that learns it."""


class Agents:
    """One run: its agents and what they share. `lock` guards everything that changes.

    free_bytes: of the limit, not reserved for a layer; None without a limit. turn: the layer that
    gets memory next. loaded: weights of layers that are in memory. resident: weights that stay, by
    their file, so that tied ones are there once.
    """

    def __init__(
        self,
        stored: StoredModel,
        model: StreamedModel,
        strategy: Strategy,
        limit: int | None,
        throttle: Throttle | None,
        live: LiveBytes,
    ) -> None:
        self.stored, self.strategy, self.live = stored, strategy, live
        self.limiter = RateLimiter(throttle) if throttle else None
        self.parts = [part for part in stored.parts if not part.resident]
        self.free_bytes = None if limit is None else limit - int(model.resident_bytes)
        self.lock = threading.Condition()
        self.turn = 0
        self.loaded: dict[int, dict[str, Tensor]] = {}
        self.resident: dict[str, dict[str, Tensor]] = {}
        self.failure: str | None = None
        self.stopped = False
        self.threads: list[threading.Thread] = []
        self.began = 0.0
        self.reads: list[Read] = []
        self.computes: list[Compute] = []
        self.changes: list[MemoryChange] = []

    def play(
        self, skeletons: Sequence[nn.Module], inputs: Tensor, loaders: int
    ) -> tuple[Tensor, float]:
        """The output for `inputs`, and seconds from the start of the loaders to it."""
        # Before live bytes are counted: reading a module's state makes views of its weights.
        wanted = [weights_of(skeleton) for skeleton in skeletons]
        for position, part in enumerate(self.stored.parts):
            if part.resident:
                if part.file not in self.resident:
                    found = read_part(self.stored, part, allocated=self.live.add)
                    self.resident[part.file] = found
                require_fit(self.resident[part.file], wanted[position], part.file)
        # Agents that could never get a layer are not started.
        loaders = min(loaders, len(self.parts))
        self.threads = [
            threading.Thread(
                target=self.load,
                args=(agent, loaders),
                name=f"pipeload loader {agent}",
                daemon=True,
            )
            for agent in range(loaders)
        ]
        with self.loading(), torch.inference_mode(), self.live.counting():
            output = self.compute(skeletons, wanted, inputs)
            latency = self.now()
        return output, latency

    @contextmanager
    def loading(self) -> Iterator[None]:
        """The loaders run inside, and none of them outside."""
        self.began = perf_counter()
        try:
            for thread in self.threads:
                thread.start()
            yield
        finally:
            with self.lock:
                self.stopped = True
                self.lock.notify_all()
            for thread in self.threads:
                if thread.ident is not None:
                    thread.join()

    def now(self) -> float:
        """Seconds since the loaders were started."""
        return perf_counter() - self.began

    def load(self, agent: int, loaders: int) -> None:
        """A loading agent."""
        at = agent
        try:
            for i in range(agent, len(self.parts), loaders):
                at = i
                asked = self.now()
                self.reserve(i)
                start = self.now()
                tensors = self.read(i)
                with self.lock:
                    self.reads.append(Read(i, agent, asked, start, self.now()))
                    self.loaded[i] = tensors
                    self.lock.notify_all()
                del tensors
        except _Stopped:
            pass
        except LayerFileError as error:
            self.fail(f"layer {at}: {error}")
        except BaseException as error:
            what = f"{type(error).__name__} {error}".strip().partition("\n")[0]
            self.fail(f"loader {agent} died at layer {at}: {what}")

    def read(self, i: int) -> dict[str, Tensor]:
        """The weights of layer i; after every chunk it checks that the run still wants them."""

        def after_chunk(n_bytes: int) -> None:
            slow_down(n_bytes)
            if self.stopped:
                raise _Stopped

        limited = self.limiter.reading() if self.limiter else nullcontext(lambda _: None)
        chunk = self.limiter.throttle.chunk if self.limiter else CHUNK
        with limited as slow_down:
            return read_part(
                self.stored,
                self.parts[i],
                allocated=self.live.add,
                between=after_chunk,
                chunk=chunk,
            )

    def reserve(self, i: int) -> None:
        """Waits until it is this layer's turn and its bytes are free, and reserves them."""
        size = self.parts[i].bytes
        with self.lock:
            while not self.stopped and (
                self.turn != i or (self.free_bytes is not None and self.free_bytes < size)
            ):
                self.lock.wait()
            if self.stopped:
                raise _Stopped
            self.turn += 1
            if self.free_bytes is not None:
                self.free_bytes -= size
            self.changes.append(MemoryChange(self.now(), size, f"load {i}"))
            self.lock.notify_all()

    def release(self, i: int) -> None:
        """Gives the bytes of a layer that has been computed back."""
        size = self.parts[i].bytes
        with self.lock:
            if self.free_bytes is not None:
                self.free_bytes += size
            self.changes.append(MemoryChange(self.now(), -size, f"F0@{i}"))
            self.lock.notify_all()

    def fail(self, sentence: str) -> None:
        """The first loader that fails says why; the inference agent raises it."""
        with self.lock:
            self.failure = self.failure or sentence
            self.lock.notify_all()

    def compute(
        self, skeletons: Sequence[nn.Module], wanted: Sequence[dict[str, Weight]], x: Tensor
    ) -> Tensor:
        """The inference agent: modules in order, each as soon as its weights are there."""
        self.live.add([x])
        if self.strategy == "load-all":
            for i in range(len(self.parts)):
                self.wait_for(i)
        i = 0
        for position, skeleton in enumerate(skeletons):
            part = self.stored.parts[position]
            if part.resident:
                x = functional_call(skeleton, self.resident[part.file], (x,))
                continue
            tensors = self.wait_for(i)
            require_fit(tensors, wanted[position], self.parts[i].file)
            start = self.now()
            x = functional_call(skeleton, tensors, (x,))
            self.computes.append(Compute(i, start, self.now()))
            if self.strategy == "pipeload":
                del tensors, self.loaded[i]
                self.release(i)
            i += 1
        return x

    def wait_for(self, i: int) -> dict[str, Tensor]:
        """The weights of layer i, once they are there; PipeloadError if they will never be."""
        agent = self.threads[i % len(self.threads)]
        with self.lock:
            while i not in self.loaded:
                if self.failure:
                    raise PipeloadError(self.failure)
                if not agent.is_alive():
                    raise PipeloadError(f"{agent.name} ended before it had loaded layer {i}")
                self.lock.wait(POLL_SECONDS)
            return self.loaded[i]

    def forget(self) -> None:
        """Lets go of every weight, whatever happened."""
        self.loaded.clear()
        self.resident.clear()
