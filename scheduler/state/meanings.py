"""Marks found by the pods that they may mean, and pods by the marks: never all against all.

Every selector is filed under handles of which each pod that it means has at least one:

    (key, value)   a label, for each value of an `In` requirement (the one that fewest pods meet)
    (namespace,)   else each namespace that it lists
    ()             else everybody's
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

from scheduler.model.audience import Audience, Carried, Meaning, Who

Handle = tuple[str, ...]
EVERYBODY: Handle = ()

Found = TypeVar("Found", Audience, Carried)


def handles_of(who: Who) -> Iterator[Handle]:
    """All handles of a pod."""
    yield EVERYBODY
    yield (who.namespace,)
    yield from who.labels


def handles(
    meaning: Meaning, hidden: Collection[str], size: Callable[[Handle], int]
) -> tuple[Handle, ...]:
    """Handles of which every pod that is meant has one. size: how many pods have a handle.

    hidden: keys of labels that are not among a pod's handles.
    """
    scopes = meaning.scopes if isinstance(meaning, Audience) else (meaning.scope,)
    choices: list[tuple[Handle, ...]] = []
    for scope in scopes:
        if scope.labels is None:
            return ()
        choices += [
            tuple((each.key, value) for value in each.values)
            for each in scope.labels
            if each.operator == "In" and each.key not in hidden
        ]
    if choices:
        return min(choices, key=lambda each: sum(map(size, each)))
    for scope in scopes:
        if scope.namespace_selector is None:
            return tuple((namespace,) for namespace in scope.namespaces)
    return (EVERYBODY,)


class Kindred:
    """Kinds of pods by handle, in the order in which they came."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[Handle, list[int]] = {}

    def add(self, kind: int, who: Who) -> None:
        """A kind is new."""
        for handle in handles_of(who):
            self._kinds.setdefault(handle, []).append(kind)

    def of(self, *found: Handle) -> list[int]:
        """Kinds that have one of these handles, each once."""
        if len(found) == 1:
            return self._kinds.get(found[0], [])
        return list(dict.fromkeys(kind for each in found for kind in self._kinds.get(each, ())))

    def clear(self) -> None:
        """Nobody is known any more."""
        self._kinds.clear()

    def size(self, handle: Handle) -> int:
        """How many kinds have this handle."""
        return len(self._kinds.get(handle, ()))


class Meanings(Generic[Found]):
    """What marks mean, by mark and by handle."""

    __slots__ = ("_filed", "_found")

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self._filed: dict[Handle, dict[str, None]] = {}

    def __contains__(self, mark: str) -> bool:
        return mark in self._found

    def items(self) -> list[tuple[str, Found]]:
        """(mark, what it means), in the order in which they came."""
        return list(self._found.items())

    def add(self, mark: str, meaning: Found, under: tuple[Handle, ...]) -> None:
        """A mark is counted from now on."""
        self._found[mark] = meaning
        for handle in under:
            self._filed.setdefault(handle, {})[mark] = None

    def clear(self) -> None:
        """No mark is counted any more."""
        self._found.clear()
        self._filed.clear()

    def near(self, who: Who) -> Iterator[tuple[str, Found]]:
        """Marks that may mean such a pod, each once, with what they mean."""
        if not self._found:
            return
        marks = dict.fromkeys(m for each in handles_of(who) for m in self._filed.get(each, ()))
        for mark in marks:
            yield mark, self._found[mark]
