"""The messages of a `compute_comms` file of torch, held against its passes.

A row of such a file has sends and receives between the passes: 0SEND_F3 sends what the forward of
microbatch 3 on stage 0 wrote, 1RECV_F3 receives it for the forward on stage 1; B means gradients.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .ir import Op

MESSAGE = re.compile(r"([0-9]{1,9})(SEND|RECV)_([FB])([0-9]{1,9})")


class Message(NamedTuple):
    """A send or a receive: of what a pass of `stage` wrote, or for one; where it stands in a row
    that has `position` passes before it."""

    what: str
    kind: str
    stage: int
    microbatch: int
    rank: int
    position: int
    spot: str

    def __str__(self) -> str:
        return f"{self.stage}{self.what}_{self.kind}{self.microbatch}"

    @property
    def name(self) -> tuple[str, str, int, int]:
        """What it is, wherever it stands."""
        return self.what, self.kind, self.stage, self.microbatch

    def mate(self) -> Message:
        """What belongs to it on the other side."""
        way = (1 if self.kind == "F" else -1) * (1 if self.what == "SEND" else -1)
        other = "RECV" if self.what == "SEND" else "SEND"
        return self._replace(what=other, stage=self.stage + way)


def check_messages(
    messages: Sequence[Message],
    orders: Sequence[Sequence[Op]],
    home: dict[int, int],
    name: str,
) -> None:
    """ValueError for the first message without its other side, or at the wrong place in its row, or
    for the first value that crosses without one; orders: the passes of each rank.
    """
    there = {message.name: message for message in messages}
    for message in messages:
        where = f"{name}: {message.spot}: {message}"
        if there[message.name] is not message:
            raise ValueError(f"{where} is there twice, also at {there[message.name].spot}")
        if home.get(message.stage) != message.rank:
            raise ValueError(f"{where} is about stage {message.stage}, which is not on this rank")
        if message.mate().stage not in home:
            raise ValueError(f"{where} is for stage {message.mate().stage}, which is nowhere")
    for message in messages:
        where, mate = f"{name}: {message.spot}: {message}", message.mate()
        if mate.name not in there:
            verb = "sends to" if message.what == "SEND" else "waits for"
            raise ValueError(f"{where} {verb} rank {home[mate.stage]}, where no {mate} is")
        order = orders[message.rank]
        place_of = next((n for n, op in enumerate(order) if _is_about(op, message)), len(order) + 1)
        if message.what == "SEND" and place_of >= message.position:
            raise ValueError(f"{where} comes before the pass that writes what it sends")
        if message.what == "RECV" and place_of < message.position:
            raise ValueError(f"{where} comes after the pass that reads what it receives")
    for rank, order in enumerate(orders):
        for op in order:
            kind, way = ("F", 1) if op.kind == "F" else ("B", -1)
            other = home.get(op.stage + way)
            sent = ("SEND", kind, op.stage, op.microbatch)
            if op.kind != "W" and other not in (None, rank) and sent not in there:
                raise ValueError(
                    f"{name}: rank {rank} never sends what {op} writes to rank {other}: "
                    f"{op.stage}SEND_{kind}{op.microbatch} is missing"
                )


def _is_about(op: Op, message: Message) -> bool:
    backward = op.kind in ("B", "BW")
    right = op.kind == "F" if message.kind == "F" else backward
    return right and (op.stage, op.microbatch) == (message.stage, message.microbatch)
