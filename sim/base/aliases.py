"""Public names of modules that live deeper in the tree: `sim.models` is `sim.planner.models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType


class Aliases(MetaPathFinder, Loader):
    """Finds a module under a second name, on first use, as the very same module.

    names: second name -> name. It has to be asked after all other finders.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.names[spec.name])
        self._own[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own[module.__name__]  # importing put the alias's own in its place
