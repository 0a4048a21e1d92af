"""Results on disk, line by line: nothing done is lost, and a plan goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from .cost_model import Configuration
from .problem import Problem

FORMAT = "pipebubble.plan/2"
Row = dict[str, Any]


class Store:
    """A file of rows, one JSON object each, after a first line that says what they answer.

    `path=None` keeps nothing. ValueError if the file answers another question.
    """

    def __init__(self, path: str | Path | None, question: str) -> None:
        self._path = Path(path) if path is not None else None
        self.done: dict[str, Row] = {}
        if self._path is None:
            return
        if self._path.exists() and self._path.stat().st_size:
            self._read(question)
        else:
            self._path.write_text(json.dumps({"format": FORMAT, "question": question}) + "\n")

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows at the end of the file, at once."""
        if self._path is None:
            return
        with self._path.open("a") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")

    def _read(self, question: str) -> None:
        assert self._path is not None
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            head = json.loads(lines[0])
        except ValueError:
            head = None
        if not isinstance(head, Mapping) or head.get("format") != FORMAT:
            raise ValueError(f"{self._path} is no plan: name a new file")
        if head.get("question") != question:
            raise ValueError(
                f"{self._path} holds a plan of another model, machine or setting: name a new file"
            )
        whole = lines[0]
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break  # an interrupted write: this and what follows is done again
            if not line.endswith("\n") or not _whole(row):
                break
            self.done[row["key"]] = row
            whole += line
        if len(whole) < sum(map(len, lines)):
            self._path.write_text(whole)


def question_of(problem: Problem) -> str:
    """A fingerprint of everything but the configuration that decides a row."""
    return sha256(json.dumps(asdict(problem), sort_keys=True, default=str).encode()).hexdigest()


def key_of(c: Configuration) -> str:
    """A configuration in one line, different for each.

    >>> key_of(Configuration(1024, 16, tensor=2, sequence_parallel=True))
    '1f1b s1024 B16 b1 t2s p1 d1 v1 e1 flash none z1'
    """
    mark = "s" if c.sequence_parallel else ""
    return (
        f"{c.schedule} s{c.sequence} B{c.batch} b{c.microbatch} t{c.tensor}{mark} p{c.pipeline} "
        f"d{c.data} v{c.virtual} e{c.expert} {c.attention} {c.recompute} z{c.zero}"
    ) + "".join(f" {word}" for word in _unusual(c))


def _unusual(c: Configuration) -> list[str]:
    """What few configurations have, so that most keys stay short."""
    found = []
    if c.context > 1:
        found.append(f"c{c.context} {c.context_by}")
    if c.precision != "bf16":
        found.append(c.precision)
    if c.vocabulary != "ends":
        found.append(c.vocabulary)
    if c.expert_tensor:
        found.append(f"et{c.expert_tensor}")
    if c.recompute_layers:
        found.append(f"r{c.recompute_layers}")
    if c.tensor_overlap != "weights":
        found.append(f"tensor-overlap-{c.tensor_overlap}")
    if c.frozen:
        found.append(f"frozen{c.frozen}")
    if c.lora:
        found.append(f"lora{c.lora}")
    if c.optimizer != "adam":
        found.append(c.optimizer)
    if c.capacity:
        found.append(f"capacity{c.capacity:g}")
    if c.offloaded:
        found.append(f"offloaded{c.offloaded}")
    if c.program != "megatron":
        found.append(c.program)
    if not c.data_overlap:
        found.append("no-data-overlap")
    return found


def _whole(row: object) -> bool:
    """Whether this is a row as plans write them."""
    if not isinstance(row, dict) or row.get("status") not in _WRITTEN:
        return False
    return {"key", "schedule", "at_least_seconds", *_WRITTEN[row["status"]]} <= set(row)


_WRITTEN = {"simulated": ("seconds", "memory"), "memory": ("memory",), "illegal": ("reason",)}
