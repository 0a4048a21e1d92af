"""JSON that people wrote: one sentence for what is ambiguous or too large to be a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_DIGITS = 4000
"""Python itself would not turn a much longer one into a number."""


def parsed(text: str) -> Any:
    """What the JSON in `text` says; ValueError with one sentence if it is none.

    Unlike `json.loads` it refuses a key that comes twice in one object, whose first value would be
    lost silently.

    >>> parsed('{"p": 4, "p": 8}')
    Traceback (most recent call last):
        ...
    ValueError: not JSON: the key "p" comes twice in one object: leave one of them out
    """
    if not isinstance(text, (str, bytes, bytearray)):
        raise ValueError(f"expected JSON text, got a {type(text).__name__}: read the file first")
    if not text.strip():
        raise ValueError("not JSON: it is empty")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except RecursionError:
        raise ValueError("not JSON: brackets in brackets, too deep to read") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def object_in(path: str | Path, what: str) -> dict[str, Any]:
    """The JSON object in a file; ValueError with one sentence if it holds none.

    what: what the file should be, such as "a machine".
    """
    try:
        found = parsed(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not JSON: it is no text") from None
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not {what}: expected a JSON object")
    return found


def shown(value: Any) -> str:
    """A value as JSON writes it, cut where it is long.

    >>> shown(None), shown("2"), shown([1, 2, 3])
    ('null', '"2"', '[1, 2, 3]')
    """
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            twice = f"the key {shown(key)} comes twice in one object"
            raise ValueError(f"{twice}: leave one of them out")
        found[key] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits: it must have at most {MOST_DIGITS}")
    return int(digits)
