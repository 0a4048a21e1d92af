"""Pages that mkdocs makes from what is there: texts, notebooks, and a page per public name."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))  # mkdocs loads a hook by its path

from reference import reference_pages  # noqa: E402

TEXTS = {"README.md": "index.md", "DESIGN.md": "design.md", "CONTRIBUTING.md": "contributing.md",
         "CHANGELOG.md": "changelog.md"}  # fmt: skip


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages; mkdocs calls this by its name."""
    for name, target in TEXTS.items():
        if (ROOT / name).exists():
            files.append(File.generated(config, target, content=text_page(ROOT / name)))
    for name, path in notebooks().items():
        files.append(File.generated(config, name, content=notebook_page(path)))
    for path in sorted((ROOT / "validation" / "data").glob("*.[jc]s*")):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    for name, content in reference_pages():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **more: Any) -> str:
    """Links to data as they are on the site; mkdocs calls this by its name."""
    return markdown.replace("](../validation/data/", "](validation/data/")


def notebooks() -> dict[str, Path]:
    """Page -> notebook, of those that ask a question."""
    found = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {f"notebooks/{path.stem}.md": path for path in found}


def notebook_page(path: Path) -> str:
    """A notebook as it was run: texts, code, and what it showed."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [shown(output) for output in cell["outputs"]]
    return "\n\n".join(parts) + "\n"


def shown(output: dict[str, Any]) -> str:
    """What a cell put out, as Markdown; of several forms the one that says most."""
    data = output.get("data", {})
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:  # in one line, or Markdown would take parts of it for text
            html = re.sub(r"\s*\n\s*", " ", "".join(data[kind]).strip())
            html = html.replace('<table border="1" class="dataframe">', "<table>")
            return f"<div data-search-exclude>{html}</div>"
    text = "".join(output.get("text") or data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```"


def text_page(path: Path) -> str:
    """A text of the repository with its links as they are on the site."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\]\((?:\./)?docs/", "](", text)
    for name, target in TEXTS.items():
        text = text.replace(f"]({name})", f"]({target})")
    return re.sub(r"\]\((notebooks/\w+)\.ipynb\)", r"](\1.md)", text)
