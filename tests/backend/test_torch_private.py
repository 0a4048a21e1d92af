"""Private names of torch stay in one folder, and are looked for before they are used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[2] / "backend"
FOLDER = BACKEND / "torch_private"
NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Private names that code asks other objects or modules for, and the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and not _own(node):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from ((name, node.lineno) for name in names if private(name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from ((n, node.lineno) for n in alias.name.split(".") if private(n))


def defined(tree: ast.AST) -> Iterator[str]:
    """Private names that code gives to things of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _own(node):
            yield node.attr


def _own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def trees(*, inside: bool) -> dict[Path, ast.AST]:
    return {
        path: ast.parse(path.read_text())
        for path in sorted(BACKEND.rglob("*.py"))
        if (FOLDER in path.parents) == inside
    }


def others(trees: dict[Path, ast.AST], known: set[str]) -> list[str]:
    """Where private names are used that are not among the known ones."""
    return [
        f"{path.relative_to(BACKEND)}:{line} {name}"
        for path, tree in trees.items()
        for name, line in used(tree)
        if name not in known
    ]


def test_no_other_module_of_backend_uses_a_private_name_of_torch() -> None:
    found = trees(inside=False)
    ours = NAMED_TUPLES | {name for tree in found.values() for name in defined(tree)}
    assert others(found, ours) == []
    code = "from torch._C import x\nimport torch.a._b\ny = torch._z + super()._w + module._v"
    assert {name for name, _ in used(ast.parse(code))} == {"_C", "_b", "_z", "_w", "_v"}


def test_every_private_name_is_in_a_table_that_is_checked() -> None:
    """Tables are texts with names between spaces and dots."""
    inside = trees(inside=True)
    nodes = (node for tree in inside.values() for node in ast.walk(tree))
    texts = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    known = {word for text in texts for word in text.replace(".", " ").split()}
    assert others(inside, known) == []


def test_a_torch_without_a_name_is_told_in_a_sentence() -> None:
    torch = pytest.importorskip("torch")
    from backend.torch_private.versions import require

    require({"torch.Tensor": "_backward_hooks"})
    with pytest.raises(RuntimeError, match=r"^torch \S+ has no torch.Tensor._gone, which pipebub"):
        require({"torch.Tensor": "_gone"})
    assert not hasattr(torch.Tensor, "_gone")
