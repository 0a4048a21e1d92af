"""Plays streamed inference: loading agents, one inference agent, and a daemon that owns the memory.

The daemon grants memory **in layer order**. Then the lowest layer without memory only waits for
lower ones, all of which have theirs: they get loaded, computed and freed, and its turn comes. In
any other order a late layer could take the room that the next one to compute needs, for ever.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Literal, get_args

import simpy

from ..base.numbers import Number, exact
from ..engine.trace import Trace
from .disk import PRIVATE, Disk, SharedReads, wait
from .layers import StreamedModel, require_room
from .trace import Compute, MemoryChange, Read, streaming_trace

Strategy = Literal["pipeload", "keep", "load-all"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def stream(
    model: StreamedModel,
    *,
    loaders: int = 1,
    memory_limit: Number | None = None,
    disk: Disk = PRIVATE,
    strategy: Strategy = "pipeload",
) -> Trace:
    """What happens when `model` is loaded and computed once; time 0 is the start of the first load.

    loaders: loading agents; agent a reads layers a, a+n, a+2n, ... one after the other.
    memory_limit: bytes, never exceeded; a layer takes its bytes from the start of its load to the
        end of its computation. None for no limit.
    strategy: "pipeload" frees a layer once computed. "keep" computes while it loads and frees
        nothing (PipeSwitch, with one loader). "load-all" computes when everything is loaded.

    Raises MemoryLimitTooSmall, which names the smallest limit that works.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}: use one of {', '.join(STRATEGIES)}")
    if isinstance(loaders, bool) or not isinstance(loaders, int) or loaders < 1:
        raise ValueError(f"loaders is {loaders!r}: it must be a whole number >= 1")
    require_room(model, memory_limit, whole=strategy != "pipeload")
    env = simpy.Environment()
    run = _Run(env, model, SharedReads(env, disk), memory_limit, strategy == "pipeload")
    env.process(run.daemon())
    for agent in range(loaders):
        env.process(run.loading_agent(agent, loaders))
    env.run(env.process(run.inference_agent(wait_for_all=strategy == "load-all")))
    return streaming_trace(
        model,
        run.reads,
        run.computes,
        run.changes,
        capacity=memory_limit,
        notes={"strategy": strategy, "loaders": loaders, "saturation": disk.saturation},
    )


class _Run:
    """One play: what the agents share."""

    def __init__(
        self,
        env: simpy.Environment,
        model: StreamedModel,
        disk: SharedReads,
        limit: Number | None,
        frees: bool,
    ) -> None:
        self.env, self.layers, self.disk, self.frees = env, model.layers, disk, frees
        self.room: Any = math.inf
        if limit is not None:
            self.room = exact(limit) - exact(model.resident_bytes)
        self.inbox = simpy.Store(env)
        self.granted = [env.event() for _ in self.layers]
        self.loaded = [env.event() for _ in self.layers]
        self.reads: list[Read] = []
        self.computes: list[Compute] = []
        self.changes: list[MemoryChange] = []

    def loading_agent(self, agent: int, loaders: int) -> Generator[Any, Any, None]:
        for i in range(agent, len(self.layers), loaders):
            asked = self.env.now
            yield self.inbox.put(("ask", i))
            yield self.granted[i]
            start = self.env.now
            yield self.disk.read(self.layers[i].load)
            self.reads.append(Read(i, agent, asked, start, self.env.now))
            self.loaded[i].succeed()

    def inference_agent(self, *, wait_for_all: bool) -> Generator[Any, Any, None]:
        if wait_for_all:
            yield simpy.AllOf(self.env, self.loaded)
        for i, layer in enumerate(self.layers):
            yield self.loaded[i]
            start = self.env.now
            yield wait(self.env, exact(layer.compute))
            self.computes.append(Compute(i, start, self.env.now))
            if self.frees:
                # Written down here, where it happens, and not when the daemon gets to it.
                self.changes.append(MemoryChange(self.env.now, -layer.bytes, f"F0@{i}"))
                yield self.inbox.put(("free", i))

    def daemon(self) -> Generator[Any, Any, None]:
        turn, asked = 0, set()
        while turn < len(self.layers):
            request, i = yield self.inbox.get()
            if request == "ask":
                asked.add(i)
            else:
                self.room += exact(self.layers[i].bytes)
            while turn in asked and self.layers[turn].bytes <= self.room:
                if self.room != math.inf:
                    self.room -= exact(self.layers[turn].bytes)
                change = MemoryChange(self.env.now, self.layers[turn].bytes, f"load {turn}")
                self.changes.append(change)
                self.granted[turn].succeed()
                turn += 1
