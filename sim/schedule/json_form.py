"""A schedule as JSON, passes written as `str` does: `to_json` and `from_json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..base.json_text import parsed, shown
from ..base.numbers import checked_type
from .dependencies import steps
from .ir import Schedule, Step
from .text import parse_op

JSON_FORMAT = "pipebubble.schedule/1"


def to_json(schedule: Schedule) -> str:
    """The schedule as one JSON object; `from_json` reads it back, equal."""
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    return json.dumps(
        {
            "format": JSON_FORMAT,
            "name": schedule.name,
            "placement": schedule.placement,
            "n_microbatches": schedule.n_microbatches,
            "n_slices": schedule.n_slices,
            "orders": [
                ["&".join(map(str, step)) for step in steps(schedule, device)]
                for device in range(schedule.n_devices)
            ],
            **({"trains": schedule.trains} if schedule.trains else {}),
            **({"stores": schedule.stores} if schedule.stores else {}),
            **({"vocabulary": schedule.vocabulary} if schedule.vocabulary else {}),
            **({"routes": schedule.routes, "follows": schedule.follows} if schedule.routes else {}),
        },
        indent=1,
    )


def from_json(text: str) -> Schedule:
    """The schedule in `text`; ValueError with one sentence if it is not one."""
    found = parsed(text)
    if not isinstance(found, dict) or found.get("format") != JSON_FORMAT:
        raise ValueError(f'not a schedule: expected a JSON object with "format": {JSON_FORMAT!r}')
    for key, rule in _FIELDS.items():
        if key not in found:
            raise ValueError(f"not a schedule: {key!r} is missing: it must be {rule}")
        for where, value, rule in _misfits(key, found[key]):
            raise ValueError(f"not a schedule: {where} is {shown(value)}: it must be {rule}")
    trains = found.get("trains", [])
    if type(trains) is not list or not all(type(entry) is str for entry in trains):
        raise ValueError(f"not a schedule: 'trains' is {shown(trains)}: it must be a list of words")
    stores = found.get("stores", [])
    if type(stores) is not list or not all(type(d) in (int, type(None)) for d in stores):
        rule = "it must be a list of device numbers, and null for the host"
        raise ValueError(f"not a schedule: 'stores' is {shown(stores)}: {rule}")
    routes = found.get("routes", [])
    for key, lists in (("routes", routes), ("follows", [found.get("follows", [])])):
        if type(lists) is not list or not all(
            type(row) is list and all(type(d) is int and abs(d) < 10**18 for d in row)
            for row in lists
        ):
            rule = "it must be a list of placements" if key == "routes" else "it must be numbers"
            raise ValueError(f"not a schedule: {key!r} is {shown(found.get(key))}: {rule}")
    vocabulary = found.get("vocabulary", 0)
    if type(vocabulary) is not int or not 0 <= vocabulary <= 2:
        rule = "it must be 0, or how many barriers there are, 1 or 2"
        raise ValueError(f"not a schedule: 'vocabulary' is {shown(vocabulary)}: {rule}")
    rows = [
        [_parse_step(cell, device, position) for position, cell in enumerate(row)]
        for device, row in enumerate(found["orders"])
    ]
    return Schedule(
        placement=tuple(found["placement"]),
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        n_microbatches=found["n_microbatches"],
        n_slices=found["n_slices"],
        fused=tuple(step for row in rows for step in row if len(step) > 1),
        name=found["name"],
        trains=tuple(trains),
        stores=tuple(stores),
        routes=tuple(map(tuple, routes)),
        follows=tuple(found.get("follows", [])),
        vocabulary=vocabulary,
    )


_FIELDS = {
    "name": "a string",
    "placement": "a list of device numbers",
    "n_microbatches": "a whole number of at most 18 digits",
    "n_slices": "a whole number of at most 18 digits",
    "orders": "a list of lists of passes such as F3@5",
}
_TYPES: dict[str, Any] = {
    "name": str,
    "placement": list,
    "n_microbatches": int,
    "n_slices": int,
    "orders": list,
}


def _parse_step(cell: str, device: int, position: int) -> Step:
    try:
        return tuple(map(parse_op, cell.split("&")))
    except ValueError as error:
        raise ValueError(f"not a schedule: orders[{device}][{position}]: {error}") from None


def _misfits(key: str, value: Any) -> Iterator[tuple[str, Any, str]]:
    """What does not fit in the value of `key`: where, the value there, and what it must be."""
    kind = _TYPES[key]
    if type(value) is not kind or (kind is int and abs(value) >= 10**18):
        yield repr(key), value, _FIELDS[key]
    elif key == "placement":
        for stage, device in enumerate(value):
            if type(device) is not int or abs(device) >= 10**18:
                yield f"placement[{stage}]", device, "a device number"
    elif key == "orders":
        for device, row in enumerate(value):
            if type(row) is not list:
                yield f"orders[{device}]", row, "a list of passes such as F3@5"
                continue
            for position, cell in enumerate(row):
                if type(cell) is not str:
                    yield f"orders[{device}][{position}]", cell, "a pass such as F3@5"
