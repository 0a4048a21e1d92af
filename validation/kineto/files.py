"""The files of a profiled run: one per rank, as torch's profiler exports them, gzipped or not."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

ENDINGS = (".json", ".json.gz")


class RankFile(NamedTuple):
    """What one rank recorded.

    host: its machine. base: what its clock adds to the times of events, in seconds. events: the
    complete ones (`ph` X), by time; `ts` and `dur` are microseconds. source: what recorded them.
    """

    path: str
    rank: int
    host: str
    base: float
    events: list[dict[str, Any]]
    source: str = "torch profiler"


def trace_files(paths: Sequence[str]) -> list[RankFile]:
    """The files among `paths`, or in the folders among them, by rank.

    Raises ValueError with one sentence for what is no profiler trace, and for two of one rank.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.name.endswith(ENDINGS))
            if not inside:
                raise ValueError(f"{path}: no {' or '.join(ENDINGS)} in this folder")
            found += inside
        else:
            found.append(path)
    files = sorted((_read(path) for path in found), key=lambda file: file.rank)
    for one, other in pairwise(files):
        if one.rank == other.rank:
            raise ValueError(
                f"{one.path} and {other.path} are both of rank {one.rank}: give one per rank"
            )
    return files


def _read(path: Path) -> RankFile:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        found = json.loads(text)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (EOFError, zlib.error):
        raise ValueError(f"{path}: the gzip file is cut off or damaged") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("traceEvents"), list):
        raise ValueError(f"{path}: not a profiler trace: no list 'traceEvents'")
    events = _complete(found["traceEvents"], path)
    rank = (found.get("distributedInfo") or {}).get("rank")
    if not isinstance(rank, int):
        named = re.search(r"rank[-_]?(\d+)", path.name)
        if named is None:
            raise ValueError(
                f"{path}: neither its 'distributedInfo' nor its name has a rank: profile after "
                "init_process_group, or call it rank0.json"
            )
        rank = int(named[1])
    base = float(found.get("baseTimeNanoseconds") or 0) / 1e9
    return RankFile(str(path), rank, str(found.get("host_name", "")), base, events)


def _complete(events: list[Any], path: Path) -> list[dict[str, Any]]:
    """The complete events by time; ValueError for one whose times are none."""
    found = []
    for number, event in enumerate(events):
        if not isinstance(event, dict):
            raise ValueError(f"{path}: event {number} is {event!r}: it must be an object")
        if event.get("ph") == "X":
            ts, dur = event.get("ts"), event.get("dur", 0)
            if not (_is_number(ts) and _is_number(dur) and float(dur) >= 0):
                raise ValueError(
                    f"{path}: event {event.get('name')!r} has ts {ts!r} and dur {dur!r}: both must "
                    "be numbers, dur not below 0"
                )
            found.append(event)
    return sorted(found, key=lambda event: float(event["ts"]))


def _is_number(value: Any) -> bool:
    """Whether it is one, or a text of one, and finite."""
    with suppress(TypeError, ValueError):
        return isfinite(float(value))
    return False
