"""What a file says of its layers, and how its list of their kinds is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .mixers import Mixer

Keys = dict[str, Any]


class Mixed(NamedTuple):
    """What a file says of its layers: the mixer of each (None: the model's own attention), those
    without a feed-forward block, and keys to be read instead of those of the file."""

    each: Sequence[Mixer | None]
    bare: tuple[int, ...] = ()
    instead: Keys = {}  # noqa: RUF012


def listed_kinds(config: Keys, name: str, layers: int) -> list[str] | None:
    """`layer_types`, one for each layer; None where the file has none."""
    listed = config.get("layer_types")
    if listed is None:
        return None
    if not isinstance(listed, list) or len(listed) != layers:
        raise ValueError(f"layer_types in {name}: expected a kind for each of the {layers} layers")
    return listed


def chosen(listed: list[str], kinds: dict[str, Mixer | None], name: str) -> list[Mixer | None]:
    """The mixer of each layer by the word for it; ValueError for another word."""
    for kind in listed:
        if kind not in kinds:
            raise ValueError(
                f"layer_types in {name} has {kind!r}, which is not known here: known are "
                f"{', '.join(kinds)}"
            )
    return [kinds[kind] for kind in listed]
