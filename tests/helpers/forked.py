"""Functions in processes of their own, forked from one that has imported torch already.

Importing torch takes seconds; a fork of a process that has done so takes none.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

PRELOADED = ["pandas", "torch", "torch.distributed.pipelining", "safetensors.torch"]


class Failure(NamedTuple):
    """What a process raised."""

    traceback: str


def in_processes(function: Callable[..., Any], *calls: tuple[Any, ...]) -> list[Any]:
    """What `function` returned for each of some arguments, or the Failure; one process each, all
    at once. The function must be importable by its name."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ends, processes = [], []
    for arguments in calls:
        end, theirs = context.Pipe(duplex=False)
        ends.append(end)
        processes.append(
            context.Process(target=_call, args=(theirs, function, arguments), daemon=True)
        )
        processes[-1].start()
        theirs.close()
    answers = [_answer(end) for end in ends]
    for process in processes:
        process.join()
    return answers


def _answer(end: Connection) -> Any:
    try:
        return end.recv()
    except EOFError:
        return Failure("it ended without an answer")


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returned in a process of its own; AssertionError with what it raised."""
    (answer,) = in_processes(function, arguments)
    assert not isinstance(answer, Failure), answer.traceback
    return answer


def _call(end: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        end.send(function(*arguments))
    except BaseException:
        end.send(Failure(traceback.format_exc()))
