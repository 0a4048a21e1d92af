"""Is everything as it was? The same cases in this checkout and in a commit, answer against answer.

python tests/unchanged.py COMMIT [--only TEXT] [--verbose] [--fresh] [--list]

A case (see `unchanged_case.py`) is a few commands or calls of public functions with the files they
read. Its answer is all that comes out: exit code, stdout, stderr, the files that were written, and
what was raised. Every tree has one process that imports the packages once and forks a child per
case. The commit lies in the temporary folder, with its answers, which are asked for once: `--fresh`
asks again. The exit code is 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import hashlib
import json
import os
import re
import resource
import runpy
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from unchanged_case import Case, Step
from unchanged_cases import CASES, WARM_UP

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sim", "backend", "validation")
LIMIT = 400
"""Seconds that a case may take."""
SHOWN = 14
"""Lines of a difference that are shown without --verbose."""
WIDE = 160
"""Longer lines are cut at their commas before they are shown."""
MOST_LINES = 600
"""Lines of an answer that are looked at, from the first one that differs."""
ENVIRONMENT = {
    "COLUMNS": "100", "LINES": "50", "TERM": "dumb", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8",
    "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "TZ": "UTC", "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip
Answers = dict[str, str]
SLOW: dict[str, float] = {}


def main() -> int:
    """Ask both trees, and print what differs."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("--verbose", action="store_true", help="whole differences")
    parser.add_argument("--fresh", action="store_true", help="ask the commit again, too")
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    parser.add_argument("--serve", metavar="TREE", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(Path(asked.serve))
        return 0
    chosen = [case.name for case in CASES if asked.only in case.name]
    if asked.list:
        print(*chosen, sep="\n")
        return 0
    tree = tree_of(asked.commit)
    kept = tree.parent / f"answers-{_key()}.jsonl"
    before = read_answers(kept)
    missing = [name for name in chosen if asked.fresh or name not in before]
    after = ask_both(tree, missing, before, kept, chosen)
    for place, answers in ((tree, before), (ROOT, after)):
        if not any(name in answers for name in chosen):
            print(f"{place} answers nothing")
            return 2
    hurried = [
        case.name for case in CASES if case.timed and before.get(case.name) != after.get(case.name)
    ]
    if again := [name for name in hurried if name in chosen]:
        _ask_again(tree, again, before, kept, after)
    if asked.verbose:
        for name in sorted(SLOW, key=SLOW.__getitem__)[-12:]:
            print(f"{SLOW[name]:6.2f} s  {name}")
    return report(chosen, before, after, whole=asked.verbose)


def ask_both(
    tree: Path, missing: Sequence[str], before: Answers, kept: Path, chosen: Sequence[str]
) -> Answers:
    """What this checkout answers; meanwhile the commit gives the answers that are missing."""
    after: Answers = {}
    helpers = 1 if missing else 2
    threads = [
        threading.Thread(target=ask, args=(place, names, answers, file))
        for place, names, answers, file in (
            (tree, missing, before, kept),
            *((ROOT, chosen[first::helpers], after, None) for first in range(helpers)),
        )
        if names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return after


def _ask_again(
    tree: Path, names: Sequence[str], before: Answers, kept: Path, after: Answers
) -> None:
    """Ask once more where a clock has a say; an answer that both trees gave counts for both."""
    old, new = dict(before), dict(after)
    new_again = ask_both(tree, names, before, kept, names)
    for name in names:
        olds = [each[name] for each in (before, old) if name in each]
        news = [each[name] for each in (new_again, new) if name in each]
        before[name], after[name] = next(
            ((one, one) for one in olds if one in news), (olds[0], news[0])
        )


def report(chosen: Sequence[str], before: Answers, after: Answers, *, whole: bool) -> int:
    """Print the differences of the chosen cases; the exit code."""
    lost = "no answer: the process of this tree has ended\n"
    different = 0
    for name in chosen:
        old, new = before.get(name, lost), after.get(name, lost)
        if old == new:
            continue
        different += 1
        print(f"\n== {name}")
        lines = _difference(old, new)
        print("\n".join(lines if whole else [line[: 2 * WIDE] for line in lines[:SHOWN]]))
        if len(lines) > SHOWN and not whole:
            print(f"... {len(lines) - SHOWN} more lines: --verbose --only '{name}'")
    print(f"{len(chosen)} cases, {different} differ")
    return 1 if different else 0


def tree_of(commit: str) -> Path:
    """The files of a commit in the temporary folder, where they stay for the next time."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        raise SystemExit(f"{commit} is no commit of {ROOT}")
    name = found.stdout.strip()
    tree = Path(tempfile.gettempdir()) / f"unchanged-{os.getuid()}" / name / "tree"
    if not tree.exists():
        tree.parent.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["git", "archive", name], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
            pack = Path(folder) / "tree.tar"
            pack.write_bytes(packed)
            with tarfile.open(pack) as files:
                files.extractall(Path(folder) / "tree", filter="data")
            (Path(folder) / "tree").rename(tree)
    return tree


def read_answers(kept: Path) -> Answers:
    """The answers in a file, the last one to each case."""
    if not kept.exists():
        return {}
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {name: answer for name, answer, _ in rows}


def ask(tree: Path, names: Sequence[str], answers: Answers, kept: Path | None) -> None:
    """Fill in what `tree` answers to the cases of these names, writing it to a file as it comes."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--serve", str(tree)],
        cwd=tree, env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin:
        json.dump(list(names), process.stdin)
    with open(kept or os.devnull, "a", encoding="utf-8") as file:
        for line in process.stdout:
            name, answers[name], seconds = json.loads(line)
            file.write(line)
            if not kept:
                SLOW[name] = seconds
    process.wait()


# -- the process of a tree ------------------------------------------------------------------------


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


def _difference(old: str, new: str) -> list[str]:
    """The lines that differ, from the first to a few hundred after it."""
    one, other = _lines(old), _lines(new)
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    start = max((min(len(one), len(other)) if same is None else same) - 1, 0)
    step = [line for line in one[:start] if line.startswith("$ ")][-1:]
    one, other = one[start : start + MOST_LINES], other[start : start + MOST_LINES]
    return step + list(difflib.unified_diff(one, other, n=1, lineterm=""))[2:]


def _lines(text: str) -> list[str]:
    """Lines to compare; long ones in pieces, so that a difference can be seen."""
    return [
        piece
        for line in text.splitlines()
        for piece in ([line] if len(line) <= WIDE else re.split(r"(?<=[,;>}\]])", line))
    ]


def _key() -> str:
    """Tells answers to other cases, and of other installed packages, apart."""
    here = Path(__file__).resolve().parent
    text = "".join(path.read_text() for path in sorted(here.glob("unchanged*.py")))
    packages = sorted(f"{each.metadata['Name']} {each.version}" for each in distributions())
    return hashlib.sha256("\n".join([text, sys.version, *packages]).encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
