"""Makes a differing case small: whatever can go while the case still differs goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.verdicts.world import Json

Path = tuple[str | int, ...]
Differs = Callable[[Sequence[Json]], list[bool]]
"""For each case, whether it still shows the difference."""

KEPT = frozenset({"id", "nodes", "pods", "objects", "pod", "kind", "metadata", "name", "spec",
                  "uid", "namespace", "containers"})  # fmt: skip
"""Keys that every object has; without them a case says nothing about filters."""


OBJECT = 2
"""Length of the path of a whole node, pod or object."""


def shrink(case: Json, differs: Differs, rounds: int = 8) -> Json:
    """`case` without what the difference does not need. Asks `differs` for many at a time."""
    for depth in (OBJECT, None):  # whole objects first: most of them go, and their fields with them
        for _ in range(rounds):
            smaller = _round(case, differs, depth)
            if smaller is None:
                break
            case = smaller
    return case


def _round(case: Json, differs: Differs, depth: int | None) -> Json | None:
    """Every part tried alone; then all that can go at once, or half of them, and so on."""
    parts = [part for part in paths(case) if depth is None or len(part) == depth]
    if not parts:
        return None
    alone = differs([without(case, [part]) for part in parts])
    able = [part for part, still in zip(parts, alone, strict=True) if still]
    while able:
        found = without(case, able)
        if differs([found])[0]:
            return found
        able = able[: len(able) // 2]
    return None


def paths(node: Any, here: Path = ()) -> Iterator[Path]:
    """Each part that may be left out, whole objects before their fields."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in KEPT:
                yield (*here, key)
            yield from paths(value, (*here, key))
    if isinstance(node, list):
        for i, value in enumerate(node):
            yield (*here, i)
            yield from paths(value, (*here, i))


def without(case: Json, parts: Sequence[Path]) -> Json:
    """A copy of `case` without `parts`; a part inside another one is gone with it."""
    found: Json = json.loads(json.dumps(case))  # deepcopy would keep what two objects share
    for part in sorted(parts, key=_from_the_end, reverse=True):
        _remove(found, part)
    return found


def _from_the_end(part: Path) -> list[tuple[int, int, str]]:
    """Later elements of a list go first, so that numbers stay true."""
    return [(1, step, "") if isinstance(step, int) else (0, 0, step) for step in part]


def _remove(node: Any, part: Path) -> None:
    *way, last = part
    for step in way:
        node = node[step]
    del node[last]
