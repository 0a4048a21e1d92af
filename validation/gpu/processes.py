"""A function in processes of its own, which a crash or a hang of it ends without harm to others.

A broken kernel spoils CUDA for the whole process that launched it, and a collective that nobody
answers never returns: neither must take along what has been measured before.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

PRELOADED = ["pandas", "torch", "torch.distributed.pipelining"]
"""What the process that all others are forked from imports: once, and without touching a GPU."""


class Failure(NamedTuple):
    """Why a function gave no answer, in one sentence."""

    reason: str


def in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], *, seconds: float
) -> list[Any]:
    """What `function` returned for each of `calls`, or a Failure; a process each, all at once.

    The function must be importable by its name. Whoever has not answered after `seconds` is killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ends: list[Connection] = []
    processes = []
    for arguments in calls:
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(theirs, function, arguments))
        process.start()
        theirs.close()
        ends.append(mine)
        processes.append(process)
    answers: dict[int, Any] = {}
    until = time.monotonic() + seconds
    try:
        while len(answers) < len(ends) and time.monotonic() < until:
            open_ends = [end for number, end in enumerate(ends) if number not in answers]
            for end in wait(open_ends, timeout=0.2):
                number = ends.index(end)  # type: ignore[arg-type]
                answers[number] = _received(ends[number], processes[number])
    finally:
        for number, process in enumerate(processes):
            if number in answers:
                process.join(timeout=5)  # it may have something to close
            if process.is_alive():
                process.kill()
            process.join()
    late = Failure(f"no answer within {seconds:.3g} s: it was killed")
    return [answers.get(number, late) for number in range(len(ends))]


def _received(end: Connection, process: Any) -> Any:
    try:
        return end.recv()
    except EOFError:
        process.join(timeout=5)
        return Failure(f"its process ended without an answer, exit code {process.exitcode}")


def _answer(end: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with suppress(OSError):
        os.dup2(2, 1)  # stdout belongs to the answer of the command
    try:
        end.send(function(*arguments))
    except BaseException as error:
        end.send(Failure(reason(error)))
        sys.exit(1)


def reason(error: BaseException) -> str:
    """What was raised, in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or "without a word"
    return f"{type(error).__name__}: {text if len(text) <= 300 else f'{text[:297]}...'}"


def free_port() -> int:
    """A port at which processes of this machine can meet."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])
