"""Is everything as it was? The same cases in this checkout and in a commit, answer against answer.

python tests/unchanged.py COMMIT [--only TEXT] [--same OLD=NEW] [--verbose] [--fresh]

A case (see `unchanged_case.py`) is a few commands or calls of public functions with the files they
read. Its answer is all that comes out: exit code, stdout, stderr, the files that were written, and
what was raised. Every tree has one process that imports the packages once and forks a child per
case. The commit lies in the temporary folder, with its answers, which are asked for once: `--fresh`
asks again. Words that were changed on purpose count as equal with `--same OLD=NEW`. The exit code
is 1 where an answer differs, and 2 where a tree cannot be asked.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from unchanged_cases import CASES
from unchanged_serve import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 14
"""Lines of a difference that are shown without --verbose."""
WIDE = 160
"""Longer lines are cut at their commas before they are shown."""
MOST_LINES = 600
"""Lines of an answer that are looked at, from the first one that differs."""
Answers = dict[str, str]
SLOW: dict[str, float] = {}


def main() -> int:
    """Ask both trees, and print what differs."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("--verbose", action="store_true", help="whole differences")
    parser.add_argument("--fresh", action="store_true", help="ask the commit again, too")
    parser.add_argument(
        "--same",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="words that were changed on purpose; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    asked = parser.parse_args()
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
    timed = [case.name for case in CASES if case.timed and case.name in chosen]
    both = [name for name in timed if name in before and name in after]
    if again := [name for name in both if before[name] != after[name]]:
        _ask_again(tree, again, before, kept, after)
    if asked.verbose:
        for name in sorted(SLOW, key=SLOW.__getitem__)[-12:]:
            print(f"{SLOW[name]:6.2f} s  {name}")
    for old, _, new in (pair.partition("=") for pair in asked.same):
        before = {name: answer.replace(old, new) for name, answer in before.items()}
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
        print(f"{commit} is no commit of {ROOT}", file=sys.stderr)
        raise SystemExit(2)
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
        [sys.executable, str(ROOT / "tests" / "unchanged_serve.py"), str(tree)],
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
    text = "".join(path.read_text() for path in sorted(here.glob("unchanged_*.py")))
    packages = sorted(f"{each.metadata['Name']} {each.version}" for each in distributions())
    return hashlib.sha256("\n".join([text, sys.version, *packages]).encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
