"""Makes a case of `rule_cases.py` that fails smaller, so that one can see why it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from dataclasses import replace as replaced
from typing import Any

from tests.plan.rule_cases import Case, Node

replace: Any = replaced
"""Takes fields by name, as they come."""
USUAL = ("pool", "tolerates", "leaving", "host", "tainted", "cordoned", "slots")
"""Fields of nodes, pods and kinds that may be as always."""


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A case that still fails, and of which nothing can be left out."""
    for each in smaller(case):
        if fails(each):
            return smallest(each, fails)
    return case


def smaller(case: Case) -> Iterator[Case]:
    """The case with one thing less, the largest things first."""
    for i, node in enumerate(case.nodes if len(case.nodes) > 1 else ()):
        pods = tuple(pod for pod in case.pods if pod.node != node.name)
        held = tuple((j, name) for j, name in case.held if name != node.name)
        yield replace(case, nodes=_without(case.nodes, i), pods=pods, held=held)
    for i in range(len(case.pods)):
        yield replace(case, pods=_without(case.pods, i))
    n = len(case.member)
    for j in range(n if n > 1 else 0):
        yield replace(
            case,
            member=_without(case.member, j),
            minimum=min(case.minimum, n - 1),
            held=tuple((h - (h > j), name) for h, name in case.held if h != j),
        )
    for i in range(len(case.held)):
        yield replace(case, held=_without(case.held, i))
    for field, value in (("size", 0), ("required", -1), ("preferred", -1), ("single", False)):
        if getattr(case, field) != value:
            yield replace(case, **{field: value})
    for field in ("kinds", "pods", "nodes"):
        parts = getattr(case, field)
        for i, part in enumerate(parts):
            for each in _plainer(part):
                yield replace(case, **{field: (*parts[:i], each, *parts[i + 1 :])})


def _without(items: tuple[Any, ...], i: int) -> tuple[Any, ...]:
    return items[:i] + items[i + 1 :]


def _plainer(part: Any) -> Iterator[Any]:
    """A node, pod or kind with one thing less."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(field.default, tuple):
            for i in range(len(value)):
                yield replace(part, **{field.name: _without(value, i)})
        elif field.name in USUAL and value != field.default:
            yield replace(part, **{field.name: field.default})
    if isinstance(part, Node) and part.free != (8, 8):
        yield replace(part, free=(8, 8))
