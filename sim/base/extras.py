"""What a plain installation leaves out, and how to get it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

EXTRAS = {
    "anywidget": "notebooks",
    "hypothesis": "dev",
    "ipywidgets": "notebooks",
    "joblib": "plan",
    "numba": "search",
    "ortools": "search",
    "safetensors": "torch",
    "scipy": "validation",
    "torch": "torch",
}
"""Package -> the extra of the distribution that brings it."""


def imported(module: str, what: str) -> ModuleType:
    """`module`; ModuleNotFoundError that says what `what` needs, if an extra is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {package}, which is not installed: "
            f"pip install 'pipebubble[{EXTRAS[package]}]'",
            name=error.name,
        ) from None


def installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    return find_spec(package) is not None
