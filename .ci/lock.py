"""Renews constraints.txt: the newest versions that pip finds within the ranges of pyproject.toml.

python .ci/lock.py search,torch,...         from the root, with the Python that the lock is for

A marker on every line restricts it to that Python and system: elsewhere a version may have no
wheel, and the ranges decide. torch is held everywhere, at the version that the file has already.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "constraints.txt"
HEAD = """\
# Held on every Python, so that a fresh machine gets a build of torch without CUDA packages where
# one is offered; unpinned it brings gigabytes of them.
{torch}

# All else that pip resolved for `.[{extras}]`,
# by `make lock` with Python {python} on {system} {machine}. The marker restricts each line to that
# Python and system: elsewhere a version may have no wheel, and the ranges of pyproject.toml decide.
"""
LEFT_OUT = re.compile(r"pipebubble|torch|triton|nvidia-.*|cuda-.*")
"""Held above, or brought only by builds of torch with CUDA."""


def main() -> None:
    (extras,) = sys.argv[1:]
    (torch,) = re.findall(r"^torch==\S+$", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [HEAD.format(
        torch=torch, extras=extras, python=platform.python_version(),
        system=platform.system(), machine=platform.machine(),
    )]  # fmt: skip
    marker = f'python_version == "{sys.version_info[0]}.{sys.version_info[1]}"'
    marker += f' and sys_platform == "{sys.platform}"'
    for name, version in sorted(resolved(extras, torch).items()):
        if not LEFT_OUT.fullmatch(name):
            lines.append(f"{name}=={version.partition('+')[0]} ; {marker}\n")
    LOCK.write_text("".join(lines), encoding="utf-8")
    print(f"{LOCK.name}: torch and {len(lines) - 1} more")


def resolved(extras: str, torch: str) -> dict[str, str]:
    """Name -> version of what pip would install into an empty environment with that torch."""
    with tempfile.TemporaryDirectory() as folder:
        held, report = Path(folder, "held.txt"), Path(folder, "report.json")
        held.write_text(torch + "\n")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command = [*pip, "--constraint", str(held), "--report", str(report), f".[{extras}]"]
        subprocess.run(command, check=True, cwd=LOCK.parent)
        told = json.loads(report.read_text(encoding="utf-8"))
    found = [each["metadata"] for each in told["install"]]
    return {re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"] for each in found}


if __name__ == "__main__":
    main()
