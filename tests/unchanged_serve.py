"""The process of one source tree for `unchanged.py`: imports once, and forks a child per case."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import resource
import runpy
import shlex
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from unchanged_case import Case, Step
from unchanged_cases import CASES, WARM_UP

LIMIT = 400
"""Seconds that a case may take."""
ENVIRONMENT = {
    "COLUMNS": "100", "LINES": "50", "TERM": "dumb", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8",
    "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "TZ": "UTC", "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip
"""Of every process that is compared: nothing of the terminal, one thread for each calculation."""


def serve(tree: Path) -> None:
    """Answer the cases named on stdin, a line of JSON each."""
    names = json.load(sys.stdin)
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    by_name = {case.name: case for case in CASES}
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        warm_up(tree, Path(folder))
        gc.collect()
        gc.freeze()
        for number, name in enumerate(names):
            room = Path(folder) / f"{number:05}"
            before = _seconds_of_children()
            found = answer(by_name[name], tree, room)
            told.write(json.dumps([name, found, _seconds_of_children() - before]) + "\n")
            told.flush()


def warm_up(tree: Path, folder: Path) -> None:
    """Import what most cases need, once."""
    import backend
    import sim
    import validation

    for name in ("ortools.sat.python.cp_model", "plotly.graph_objects", "rich.table", "torch"):
        import_module(name)
    for package in (sim, backend, validation):
        home = Path(str(package.__file__)).resolve()
        if tree.resolve() not in home.parents:
            raise SystemExit(f"{package.__name__} was imported from {home}, not from {tree}")
    os.chdir(folder)
    for step in WARM_UP:
        end, _, err = captured(step, folder)
        if end != "exit 0":
            print(f"{tree}: {step}: {end}\n{err}", file=sys.stderr)


def answer(case: Case, tree: Path, room: Path) -> str:
    """All that comes out of a case, told by a child of its own."""
    here, said = room / "here", room / "answer"
    here.mkdir(parents=True)
    child = os.fork()
    if not child:
        try:
            signal.alarm(LIMIT)
            said.write_text(_told(case, tree, here), encoding="utf-8", errors="backslashreplace")
        except BaseException:
            said.write_text(f"the case itself fails: {traceback.format_exc()}")
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"ended by signal {os.WTERMSIG(status)}\n"
    return said.read_text(encoding="utf-8")


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(case: Case, tree: Path, here: Path) -> str:
    os.chdir(here)
    for name, content in case.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    known = {path: path.read_bytes() for path in _all_files()}
    parts = []
    for step in case.steps:
        end, out, err = captured(step, here.parent)
        parts.append(f"$ {step}\n[{end}]\n")
        parts += [f"[{name}]\n{text}" for name, text in (("stdout", _chosen(case, out)),
                                                        ("stderr", err)) if text]  # fmt: skip
    for path in _all_files():
        if known.get(path) != path.read_bytes():
            parts.append(f"[file {path}]\n{_content(path)}\n")
    return _without_places("\n".join(parts), tree, here)


def captured(step: Step, folder: Path) -> tuple[str, str, str]:
    """How one step ends, and its stdout and stderr."""
    saved = sys.stdout, sys.stderr, sys.argv
    descriptors = [os.dup(number) for number in (0, 1, 2)]
    files = [folder / name for name in ("stdout", "stderr")]
    for number, path in ((0, Path(os.devnull)), (1, files[0]), (2, files[1])):
        flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if number else 0)
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    try:
        end = _end_of(step)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.close()
        sys.stdout, sys.stderr, sys.argv = saved
        for number, copy in enumerate(descriptors):
            os.dup2(copy, number)
            os.close(copy)
    out, err = (path.read_text(encoding="utf-8", errors="backslashreplace") for path in files)
    return end, out, err


def _end_of(step: Step) -> str:
    try:
        if not isinstance(step, str):
            step.function()
            return "done"
        package, *words = shlex.split(step)
        sys.argv = [package, *words]
        runpy.run_module(package, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return f"exit {end.code if isinstance(end.code, int) else bool(end.code) + 0}"
    except BaseException as error:
        return f"raises {type(error).__name__}: {error}"
    return "exit 0"


def _all_files() -> list[Path]:
    return sorted(path for path in Path().rglob("*") if path.is_file())


def _content(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".html":
        from plotly.offline import get_plotlyjs

        content = content.replace(get_plotlyjs().encode(), b"(plotly.js)")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()}"


def _chosen(case: Case, out: str) -> str:
    """The JSON on stdout without what a clock says; anything else as it is."""
    if not (case.keep or case.drop or case.digits):
        return out
    try:
        found = json.loads(out)
    except ValueError:
        return out
    return json.dumps(_picked(found, case)) + "\n"


def _picked(found: Any, case: Case) -> Any:
    if isinstance(found, list):
        return [_picked(entry, case) for entry in found]
    if isinstance(found, dict):
        return {
            key: _picked(value, case)
            for key, value in found.items()
            if key not in case.drop and (not case.keep or key in case.keep)
        }
    if isinstance(found, float) and case.digits:
        return float(f"{found:.{case.digits}g}")
    return found


def _without_places(text: str, tree: Path, here: Path) -> str:
    """`text` without what is another in every tree and every run: folders, lines, addresses."""
    for folder, name in ((here, "(here)"), (here.parent, "(room)"), (tree, "(tree)")):
        for spelled in {str(folder), str(folder.resolve())}:
            text = text.replace(spelled, name)
    text = re.sub(r"(?m)^Traceback .*\n(?:  .*\n)*", "Traceback\n", text)
    text = re.sub(r"(\.py):\d+", r"\1", text)
    text = re.sub(r"(/\.[\w.-]+)\.[0-9a-f]{8}\b", r"\1.(token)", text)
    return re.sub(r"\b0x[0-9a-f]{6,}\b", "0x", text)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
