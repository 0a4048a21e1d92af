"""The files of a profiled run: one per rank, as torch's profiler exports them, gzipped or not."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
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
    rank = (found.get("distributedInfo") or {}).get("rank")
    if not isinstance(rank, int):
        named = re.search(r"rank[-_]?(\d+)", path.name)
        if named is None:
            raise ValueError(
                f"{path}: neither its 'distributedInfo' nor its name has a rank: profile after "
                "init_process_group, or call it rank0.json"
            )
        rank = int(named[1])
    events = [event for event in found["traceEvents"] if event.get("ph") == "X"]
    events.sort(key=lambda event: float(event["ts"]))
    base = float(found.get("baseTimeNanoseconds") or 0) / 1e9
    return RankFile(str(path), rank, str(found.get("host_name", "")), base, events)
