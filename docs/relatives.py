"""Makes the picture of docs/relatives.md from the code: python docs/relatives.py."""

from __future__ import annotations

from pathlib import Path

from sim.pipeload import equal_layers, latency, stream
from sim.pipeload.svg import streaming_svg

PICTURE = Path(__file__).resolve().parent / "pictures" / "pipeload.svg"


def picture() -> str:
    """Three loaders with room for three layers."""
    model = equal_layers(12, load=6, compute=1, layer_bytes=10, resident_bytes=5)
    trace = stream(model, loaders=3, memory_limit=35)
    title = f"pipeload: 3 loaders, 12 layers, room for 3: {latency(trace)} time units"
    return streaming_svg(trace, title=title) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
