"""Examples in docstrings as code on the pages: Markdown takes >>> for nested quotations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from griffe import Extension

sys.path.insert(0, str(Path(__file__).resolve().parent))

from reference import fields, told_apart


class Doctests(Extension):
    """Puts every example into a fence; griffe calls it by its name."""

    def on_object(self, *, obj: Any, **more: Any) -> None:
        if obj.docstring:
            text, _ = told_apart(obj.docstring.value, fields(obj))  # which stand in a table
            obj.docstring.value = fenced(text)


def fenced(text: str) -> str:
    """The text with a fence around every example: from >>> to the next empty line."""
    lines: list[str] = []
    inside = indent = ""
    for line in [*text.split("\n"), ""]:
        if not inside and line.lstrip().startswith(">>> "):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append("```python" if len(indent) == 4 else f"{indent}```python")
            inside = "yes"
        if inside and not line.strip():
            lines.append("```")
            inside = ""
        lines.append(line.removeprefix(indent) if inside else line)
    return "\n".join(lines).rstrip()
