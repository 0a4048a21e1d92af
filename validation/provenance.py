"""Where a measured number comes from: hardware, versions, date, command. No names of machines."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def provenance(
    device: str = "cpu", *, command: str = "", packages: Sequence[str] = ("torch",)
) -> dict[str, Any]:
    """The facts that go with every measured figure.

    packages: the distributions whose versions matter beside our own.
    """
    found: dict[str, Any] = {
        "hardware": _gpu() if device.startswith("cuda") else _cpu(),
        "device": device,
        "python": platform.python_version(),
        "pipebubble": _version("pipebubble"),
        **{name: _version(name) for name in packages},
        "date": datetime.date.today().isoformat(),
        "command": command or " ".join(["python -m validation", *sys.argv[1:]]),
    }
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    import os

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _gpu() -> str:
    import torch

    return str(torch.cuda.get_device_name())
