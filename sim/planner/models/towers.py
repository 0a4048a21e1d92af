"""Towers: encoders of pictures in front of a decoder, with what projects their output."""

from __future__ import annotations

from dataclasses import replace

from .shape import Model, Tower


def with_images(model: Model, images: float, patches: int = 0) -> Model:
    """The model with so many pictures in every sequence, of so many patches each (0: as before)."""
    if not model.tower:
        raise ValueError(f"{model.name} has no vision tower that is counted: leave images out")
    tower = replace(model.tower, images=images, patches=patches or model.tower.patches)
    before, after = pictures_note(model.tower), pictures_note(tower)
    notes = tuple(after if note == before else note for note in model.notes)
    return replace(model, tower=tower, notes=notes)


def pictures_note(tower: Tower) -> str:
    """How many pictures are counted."""
    return (
        f"the vision tower's work is that of {tower.images:g} x {tower.patches:,} patches per "
        "sequence (--images says it otherwise); the words it makes are among the sequence's tokens"
    )


def images_told(text: str) -> tuple[float, int]:
    """Pictures per sequence, and patches of each, as written: 2, 0.5 or 2x1024; ValueError else.

    >>> images_told("0.5"), images_told("2x1024")
    ((0.5, 0), (2.0, 1024))
    """
    images, x, patches = text.partition("x")
    try:
        return float(images), int(patches) if x else 0
    except ValueError:
        raise ValueError(
            f"images is {text!r}: give pictures per sequence, e.g. 2, or 2x1024 for pictures of "
            "1024 patches"
        ) from None
