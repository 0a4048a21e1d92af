"""Do the tests notice when a formula is wrong? A random sample of mutants, each against its tests.

python tests/mutants.py [--planner 30] [--core 15] [--seed 0] [--limit 120] [--only TEXT]

A mutant is a module with one change: a sign, an operator, a constant, a comparison, "and" for "or",
the least for the largest. They are drawn from all such changes of the area with the seed, so that a
line says which sample it was. Each lies in a copy of this checkout and runs the tests of its module
alone (`AREAS`), up to the first that fails: killed. What needs more processor time than the limit
is killed too, since a loop without an end would be noticed. What survives and cannot be noticed is
written down in `EQUIVALENT` with the reason, and counts neither way. The exit code is 1 where fewer
than nine of ten are killed.

mutmut 3 and cosmic-ray 8 do the same for whole packages, with every mutant of a module and one
command for all of them; neither draws a sample.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn

import hypothesis  # noqa: F401
import pandas as pd  # noqa: F401
import plotly.graph_objects  # noqa: F401
import pytest
import simpy  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
ENOUGH = 0.9
_PLANNER = tuple(
    f"tests/sim/planner/test_{name}.py"
    for name in ("cost_model", "communication", "splits", "profile_files", "every_layer_term",
                 "every_end_term", "every_group_term", "every_memory_term", "every_option_term",
                 "ways_to_cut", "models", "config_files", "config_layers", "mixers", "partition",
                 "towers", "hybrid_configs", "further_tokens", "memory_table", "efficiencies",
                 "tensor_overlap", "programs")
)  # fmt: skip
_PLAYED = tuple(
    f"tests/sim/engine/test_{name}.py"
    for name in ("costs", "all_to_all", "engine", "mechanisms", "offload", "numbering", "plan")
)
AREAS: dict[str, dict[str, tuple[str, ...]]] = {
    "planner": {
        "sim/planner/cost_model": _PLANNER,
        "sim/planner/models": _PLANNER,
        "sim/planner/slices": _PLANNER,
    },
    "core": {
        "sim/schedule/ir.py": ("tests/sim/schedule", *_PLAYED),
        "sim/schedule/rules.py": ("tests/sim/schedule",),
        "sim/engine/costs.py": _PLAYED,
        "sim/engine/plan.py": _PLAYED,
        "sim/bounds": ("tests/sim/bounds",),
    },
}
"""By area and path the tests that have to notice a change there."""


Change = Callable[[ast.AST], bool]
"""Changes a node where it can, and says whether it did."""

EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("sim/planner/models/config_towers.py", "112", "113"): "windows are whole patches of 14 x 2",
    ("sim/planner/cost_model/stages.py", "part.predictions and pieces.prediction",
     "part.predictions or pieces.prediction"): "none of them, or refused before",
    ("sim/planner/cost_model/split.py",
     "sums[start[stage + 1]] - sums[at - 1] + ends[stage] <= limit",
     "sums[start[stage + 1]] - sums[at - 1] + ends[stage] < limit"): "the limit has slack",
    ("sim/planner/cost_model/split.py", "sums[high + 1] - sums[at] + ends[stage] <= limit",
     "sums[high + 1] - sums[at] + ends[stage] < limit"): "the limit has slack",
    ("sim/bounds/first_backward.py", "1e-09", "1.5e-09"): "the lower end is a bound, however near",
    ("sim/schedule/rules.py", "each * schedule.n_stages", "each / schedule.n_stages"):
        "only looks for what is missing, and finds nothing",
    ("sim/engine/plan.py", "len(step) > 1", "len(step) >= 1"): "says the same of a single pass",
}  # fmt: skip
"""By file, what stood there and what stands there now: why nobody can notice it."""


class Mutant(NamedTuple):
    """One change: the file, the place in the walk over its tree, which change, the line, and what
    stands there before and after."""

    path: str
    place: int
    change: Change
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"


def main() -> int:
    """Draw, run and print a line per mutant, then the sums."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--planner", type=int, default=30, help="mutants of the planner")
    parser.add_argument("--core", type=int, default=15, help="mutants of the core")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--limit", type=int, default=120, help="processor seconds for one mutant")
    parser.add_argument("--only", default="", help="of paths with this text in them")
    asked = parser.parse_args()
    least = 1.0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copied(copy)
        for area, count in (("planner", asked.planner), ("core", asked.core)):
            chosen = sample(area, count, asked.seed, asked.only)
            if chosen:
                unchanged(area, chosen, copy, asked.limit)
                least = min(least, report(area, chosen, copy, asked.limit))
    return int(least < ENOUGH)


def sample(area: str, count: int, seed: int, only: str = "") -> list[Mutant]:
    """So many mutants of an area, the same ones for the same seed and the same code."""
    found = [
        mutant
        for top in AREAS[area]
        for path in _modules(top)
        if only in path
        for mutant in mutants(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    drawn = random.Random(seed).sample(found, min(count, len(found)))
    print(f"{area}: {len(drawn)} of {len(found)} mutants, seed {seed}", flush=True)
    return drawn


def unchanged(area: str, chosen: Sequence[Mutant], copy: Path, limit: int) -> None:
    """Run the tests without a change, after which all is compiled; they have to pass."""
    for tests in dict.fromkeys(tests_of(area, mutant.path) for mutant in chosen):
        sys.dont_write_bytecode = False
        if not pass_in_a_child(tests, copy, limit):
            sys.exit(f"these tests do not pass without a change: {' '.join(tests)}")
    sys.dont_write_bytecode = True


def report(area: str, chosen: Sequence[Mutant], copy: Path, limit: int) -> float:
    """Run the mutants; the share that was killed of those that can be noticed."""
    sums = dict.fromkeys(("killed", "survived", "equivalent"), 0)
    for mutant in chosen:
        if (mutant.path, mutant.before, mutant.after) in EQUIVALENT:
            found = "equivalent"
        else:
            found = "survived" if survives(mutant, tests_of(area, mutant.path), copy, limit) else (
                "killed"
            )  # fmt: skip
        sums[found] += 1
        print(f"{found:10} {mutant}", flush=True)
    noticed = sums["killed"] + sums["survived"]
    share = sums["killed"] / noticed if noticed else 1.0
    counts = ", ".join(f"{number} {word}" for word, number in sums.items())
    print(f"{area}: {counts}; {share:.1%} of those that can be noticed are killed", flush=True)
    return share


def survives(mutant: Mutant, tests: Sequence[str], copy: Path, limit: int) -> bool:
    """Whether all tests pass with the change."""
    path = copy / mutant.path
    before, was = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(mutated(mutant, before), encoding="utf-8")
    try:
        return pass_in_a_child(tests, copy, limit)
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def pass_in_a_child(tests: Sequence[str], copy: Path, limit: int) -> bool:
    """Whether the tests pass in a child, which has the packages of others from here and of this
    one nothing."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        run_tests(tests, copy, limit)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def run_tests(tests: Sequence[str], copy: Path, limit: int) -> NoReturn:
    """Run the tests in the copy, and end this process with their exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    found = pytest.main(
        ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests,
         "-m", "not slow and not torchtitan"]
    )  # fmt: skip
    os._exit(int(found))


def tests_of(area: str, path: str) -> tuple[str, ...]:
    """The tests that have to notice a change in that file."""
    return next(tests for top, tests in AREAS[area].items() if path.startswith(top))


def copied(folder: Path) -> None:
    """This checkout's packages, tests and settings, as they are now."""
    for name in ("sim", "backend", "validation", "tests"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(text)
    untouched = _untouched(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in untouched or not isinstance(node, CHANGED):
            continue
        for change in CHANGES:
            before, changed = ast.unparse(node), deepcopy(node)
            if change(changed):
                line = getattr(node, "lineno", 0)
                yield Mutant(path, place, change, line, before, ast.unparse(changed))


def mutated(mutant: Mutant, text: str) -> str:
    """The module with the change, and without its comments."""
    tree = ast.parse(text)
    mutant.change(next(islice(ast.walk(tree), mutant.place, None)))
    return ast.unparse(tree) + "\n"


def _untouched(tree: ast.AST) -> set[int]:
    """Nodes that say nothing of what is computed: annotations and types, sizes of caches, and
    sentences."""
    parts: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign() | ast.arg():
                parts.append(node.annotation)
            case ast.FunctionDef():
                parts += [node.returns, *node.decorator_list]
            case ast.ClassDef():
                parts += node.decorator_list
            case ast.Raise() | ast.JoinedStr():
                parts.append(node)
            case ast.If() if ast.unparse(node.test) == "TYPE_CHECKING":
                parts.append(node)
            case ast.Subscript() if ast.unparse(node.value) in _TYPES:
                parts.append(node)
            case ast.keyword(arg="strict"):  # lengths are equal where they are asked to be
                parts.append(node)
            case ast.Call() if ast.unparse(node.func) in ("plural", "_misfit"):
                parts.append(node)
    return {id(each) for part in parts if part for each in ast.walk(part)}


_TYPES = ("Literal", "tuple", "list", "dict", "Sequence", "Mapping", "Iterator", "Callable")
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_EXTREMES = {"min": "max", "max": "min"}


def _operator(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in _OPERATORS:
        return False
    node.op = _OPERATORS[type(node.op)]()
    return True


def _sign(node: ast.AST) -> bool:
    if not isinstance(node, ast.UnaryOp):
        return False
    if isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
    return True


def _comparison(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or type(node.ops[0]) not in _COMPARISONS:
        return False
    node.ops[0] = _COMPARISONS[type(node.ops[0])]()
    return True


def _constant(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value)):
            node.value = value + 1
        case ast.Constant(value=float(value)):
            node.value = 1.5 * value if value else 1.0
        case _:
            return False
    return True


def _both(node: ast.AST) -> bool:
    if not isinstance(node, ast.BoolOp):
        return False
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return True


def _extreme(node: ast.AST) -> bool:
    if not isinstance(node, ast.Name) or node.id not in _EXTREMES:
        return False
    node.id = _EXTREMES[node.id]
    return True


CHANGES: tuple[Change, ...] = (_operator, _sign, _comparison, _constant, _both, _extreme)
CHANGED = (ast.BinOp, ast.AugAssign, ast.UnaryOp, ast.Compare, ast.Constant, ast.BoolOp, ast.Name)


def _modules(top: str) -> list[str]:
    found = ROOT / top
    paths = [found] if found.is_file() else sorted(found.rglob("*.py"))
    return [path.relative_to(ROOT).as_posix() for path in paths]


if __name__ == "__main__":
    sys.exit(main())
