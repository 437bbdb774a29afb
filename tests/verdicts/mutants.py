"""The filters with every mutant of mutmut inside, and which of them is switched on.

mutmut writes all mutants of a module into one source; an import hook puts that source in the
module's place, so that a forked process only has to name the mutant that it is. Functions are
mutated, methods too; module constants and decorated functions are not.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from types import CodeType, ModuleType

from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

ROOT = Path(__file__).resolve().parents[2]

TARGETS = ("scheduler/model/filters", "scheduler/model/volumes", "scheduler/model/pod_requests.py")
LEFT_OUT = {
    "scheduler.model.filters.reference": "the slow twin of the columns, used by tests only",
    "scheduler.model.filters.rule_reference": "the slow twin of the rules, used by tests only",
    "scheduler.model.volumes.reference": "the slow twin of the volumes, used by tests only",
    "scheduler.model.filters.soft": "orders nodes and refuses none: no verdict depends on it",
}
"""Module -> why it is not mutated."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function."""

    name: str
    """As mutmut switches it on: module, mangled function, number."""
    module: str
    function: str
    before: str
    after: str
    """The changed lines, without their indentation."""

    @property
    def mangled(self) -> str:
        """Its function as `called` names it."""
        return self.name.rpartition("__mutmut_")[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is known by while numbers change."""
        return self.module, self.function, self.before, self.after


class Mutated(importlib.machinery.SourceFileLoader):
    """Loads a module from its source with all mutants."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, path)
        text = Path(path).read_text(encoding="utf-8")
        self.file: MutatedFile = mutate_file_contents(path, text)

    def get_code(self, fullname: str) -> CodeType:
        """Never from a cache: the cache has the plain source."""
        del fullname
        return compile(self.file.code, self.path, "exec", dont_inherit=True)

    def mutants(self) -> list[Mutant]:
        """Every mutant of the module."""
        lines = self.file.code.splitlines()
        return [_mutant(self.name, name, self.file, lines) for name in self.file.mutant_names]


def _mutant(module: str, name: str, file: MutatedFile, lines: Sequence[str]) -> Mutant:
    mangled = name.rpartition("__mutmut_")[0]
    function = mangled.removeprefix("x_").replace("xǁ", "").replace("ǁ", ".")
    before, after = _changed(
        _lines_of(f"{mangled}__mutmut_orig", file, lines), _lines_of(name, file, lines)
    )
    return Mutant(f"{module}.{name}", module, function, before, after)


def _lines_of(name: str, file: MutatedFile, lines: Sequence[str]) -> list[str]:
    span = file.line_span_by_function_name[name]
    return [each.strip().replace(name, "self") for each in lines[span.start - 1 : span.end]]


def _changed(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ."""
    gone: list[str] = []
    new: list[str] = []
    for each in unified_diff(before, after, n=0, lineterm=""):
        if each.startswith(("---", "+++", "@@")):
            continue
        (gone if each.startswith("-") else new).append(each[1:])
    return " ".join(gone), " ".join(new)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of TARGETS before anybody else does."""

    def __init__(self, only: str) -> None:
        self.paths = {_module(path): path for path in _sources() if only in _module(path)}
        self.loaders: dict[str, Mutated] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a mutated module; None for all others."""
        del path, target
        if fullname not in self.paths:
            return None
        source = self.paths[fullname]
        if fullname not in self.loaders:
            self.loaders[fullname] = Mutated(fullname, str(source))
        loader = self.loaders[fullname]
        folders = [str(source.parent)] if source.name == "__init__.py" else None
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=str(source))
        spec.submodule_search_locations = folders
        spec.has_location = True
        return spec


def _sources() -> list[Path]:
    found = []
    for target in TARGETS:
        path = ROOT / target
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [path for path in found if _module(path) not in LEFT_OUT]


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def install(only: str = "") -> Finder:
    """Put the hook in place, for modules with `only` in their names.

    Must come before anything of `scheduler` is imported.
    """
    early = [name for name in sys.modules if name.startswith("scheduler.model")]
    if early:
        raise RuntimeError(f"imported too early: {', '.join(early)}")
    finder = Finder(only)
    sys.meta_path.insert(0, finder)
    return finder


def switch_on(mutant: str) -> None:
    """Be this mutant from now on; `none` is nobody, `stats` records which functions are called."""
    set_mutant_under_test(mutant)


def called() -> set[str]:
    """Functions (module and mangled name) called since the last time, while `stats` was on."""
    found = set(state()._stats)
    state()._stats.clear()
    return found
