"""Rules of the house that no linter knows: clocks, kernels, sizes, docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scheduler"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

FILE_BUDGET = 400
FUNCTION_BUDGET = 40
"""Lines of a file, and of a function without its docstring."""

LONG_FILES: dict[str, str] = {}
"""path -> why it may be longer than FILE_BUDGET."""

LONG_FUNCTIONS: dict[str, str] = {
    "scheduler/model/topology_build.py:_with_positions": "one column of the tree after the other",
}
"""path:function -> why it may be longer than FUNCTION_BUDGET."""

CLOCKS = {
    "time": {
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
        "process_time", "process_time_ns", "sleep",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}  # fmt: skip

KERNELS = {f"_{path.stem}" for path in (ROOT / "ext").glob("*.pyx")}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def relative(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """The file, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Every function of the file, nested ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines from `def` to the end, less those of the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def clock_reads(path: Path) -> Iterator[str]:
    """`file:line: name` of each use of a clock, however it was imported."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if node.attr in CLOCKS.get(name, ()):
                yield f"{relative(path)}:{node.lineno}: {name}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for alias in node.names:
                if alias.name in CLOCKS["time"]:
                    yield f"{relative(path)}:{node.lineno}: from time import {alias.name}"


def imported(path: Path) -> set[str]:
    """Dotted names that the file imports, `from a import b` as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


def test_only_clock_reads_a_clock() -> None:
    """Time comes from an injected Clock, so that a replay is the same on every run."""
    readers = [use for path in MODULES if path.name != "clock.py" for use in clock_reads(path)]
    assert readers == []


def test_clock_itself_is_seen_to_read_one() -> None:
    """The rule above finds what it looks for."""
    assert len(list(clock_reads(PACKAGE / "clock.py"))) == 3


def test_only_the_crossing_imports_kernels() -> None:
    """Release kernels trust their arguments; these modules are what checks them."""
    compiled = {f"scheduler.{name}" for name in KERNELS}
    importers = {relative(path) for path in MODULES if imported(path) & compiled}
    assert importers == {
        "scheduler/kernel.py",
        "scheduler/kernel_search.py",
        "scheduler/replay/fgd/kernel.py",
    }


def test_every_kernel_has_a_stub_and_is_built() -> None:
    """A compiled module is typed by a stub with the same functions, and named in setup.py."""
    built = set(re.findall(r'kernel\("(\w+)"\)', (ROOT / "setup.py").read_text(encoding="utf-8")))
    assert {f"_{name}" for name in built} == KERNELS
    for name in KERNELS:
        source = (ROOT / "ext" / f"{name[1:]}.pyx").read_text(encoding="utf-8")
        defined = set(re.findall(r"^def (\w+)", source, re.MULTILINE))
        stubbed = {f.name for f in functions(PACKAGE / f"{name}.pyi")}
        assert stubbed == defined, name


def test_kernels_have_no_state_and_no_malloc() -> None:
    """Kernels are functions over arrays that Python has allocated."""
    for path in sorted((ROOT / "ext").glob("*.p*")):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\bcdef class\b|\bmalloc\b|\bcalloc\b|\bnew\b", source), path.name


def test_files_are_short() -> None:
    """A file is at most FILE_BUDGET lines, or is listed with a reason."""
    files = (*MODULES, *TESTS, *(ROOT / "ext").glob("*.p*"))
    long = {
        relative(path)
        for path in files
        if len(path.read_text(encoding="utf-8").splitlines()) > FILE_BUDGET
    }
    assert long == set(LONG_FILES)


def test_functions_are_short() -> None:
    """A function is at most FUNCTION_BUDGET lines without its docstring, or listed."""
    long = {
        f"{relative(path)}:{function.name}": length(function)
        for path in MODULES
        for function in functions(path)
        if length(function) > FUNCTION_BUDGET
    }
    assert set(long) == set(LONG_FUNCTIONS), long


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_public_names_are_documented(path: Path) -> None:
    """Modules, public classes and public functions say what they are."""
    bare = [] if ast.get_docstring(tree(path)) else ["the module"]
    scopes: list[ast.Module | ast.ClassDef] = [tree(path)]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                bare.append(f"{node.name} (line {node.lineno})")
            if isinstance(node, ast.ClassDef):
                scopes.append(node)
    assert bare == []


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_tests_state_a_behaviour(path: Path) -> None:
    """Every test says in its docstring what must hold."""
    bare = [
        f"{function.name} (line {function.lineno})"
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert bare == []
