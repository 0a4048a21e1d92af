"""A sentence for what was given, a traceback for what is our fault."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from sim.cli.command_line import CommandLine
from sim.cli.own_errors import FAULT


def program(monkeypatch: pytest.MonkeyPatch, source: str) -> CommandLine:
    """One command, of our package, with that body."""
    module = ModuleType("sim.made_up")
    exec(f"import numpy\ndef run() -> None:\n    {source}\n", vars(module))
    monkeypatch.setitem(sys.modules, "sim.made_up", module)
    return CommandLine("sim", "made up", {"run": ("sim.made_up", "run")})


@pytest.mark.parametrize(
    "source",
    [
        "numpy.zeros(2) + numpy.zeros(3)",
        "int('x')",
        "numpy.linalg.cholesky([1])",
        "(1).to_bytes(-1)",
    ],
)
def test_what_others_complain_about_is_seen_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    with pytest.raises((ValueError, np.linalg.LinAlgError)) as caught:
        program(monkeypatch, source).run(["run"])
    assert FAULT in caught.value.__notes__


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('p is 0: it must be 1 or more')",
        "exec('''try:\\n  int('x')\\nexcept ValueError:\\n  raise ValueError('p is 0: it must be 1 "
        "or more') from None''')",
    ],
)
def test_what_we_say_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(monkeypatch, source).run(["run"]) == 1
    assert capsys.readouterr().err == "error: p is 0: it must be 1 or more\n"


def test_ctrl_c_that_compiled_code_turns_into_a_fault_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = program(
        monkeypatch, "raise SystemError('a result with an exception set') from KeyboardInterrupt()"
    )
    assert made.run(["run"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    with pytest.raises(SystemError):
        program(monkeypatch, "raise SystemError('a fault')").run(["run"])
