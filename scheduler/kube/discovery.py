"""Which optional kinds the server serves: a CustomResourceDefinition may come and go at any time.

A state machine without I/O: `due` says which groups to ask about, `answer` is told what came.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec

from scheduler.kube.answers import said
from scheduler.kube.backoff import Backoff
from scheduler.kube.resources import Resource
from scheduler.kube.transport import Response

AGAIN_US = 60_000_000
"""How often a group is asked about; installing a CustomResourceDefinition takes seconds anyway."""
REFUSED = 403


class _Served(msgspec.Struct):
    name: str = ""


class _Group(msgspec.Struct):
    """APIResourceList."""

    resources: list[_Served] | None = None


class _Asked:
    """One group and version."""

    def __init__(self, resources: list[Resource], rng: Random) -> None:
        self.resources = resources
        self.backoff = Backoff(rng)
        self.due_us = 0
        self.under_way = False


class Discovery:
    """Optional resources, by the path of their group and version."""

    def __init__(self, resources: Iterable[Resource], rng: Random) -> None:
        self.error = ""
        """Why the last question had no good answer; empty if it had."""
        self._served: dict[Resource, bool] = {}
        self._groups: dict[str, _Asked] = {}
        for resource in resources:
            if resource.optional:
                group = self._groups.setdefault(resource.group_path, _Asked([], rng))
                group.resources.append(resource)

    def served(self, resource: Resource) -> bool | None:
        """Whether it can be listed; None as long as the server has not said."""
        return self._served.get(resource) if resource.optional else True

    def due(self, now_us: int) -> list[str]:
        """Paths to GET now; each is waited for until `answer` is told."""
        paths = [
            path
            for path, group in self._groups.items()
            if not group.under_way and now_us >= group.due_us
        ]
        for path in paths:
            self._groups[path].under_way = True
        return paths

    def next_us(self) -> int | None:
        """When `due` has something to say; None while all answers are awaited."""
        times = [group.due_us for group in self._groups.values() if not group.under_way]
        return min(times, default=None)

    def hurry(self, resource: Resource) -> None:
        """It was answered 404: asks about it at once."""
        self._groups[resource.group_path].due_us = 0

    def answer(self, path: str, response: Response, now_us: int) -> list[Resource]:
        """What the server says of a group. Returns the resources that are served or not, anew."""
        group = self._groups[path]
        group.under_way = False
        names = self._names(response)
        if names is None:
            group.due_us = now_us + max(group.backoff.next_us(), response.retry_after_us or 0)
            return []
        group.backoff.reset()
        group.due_us = now_us + AGAIN_US
        changed = []
        for resource in group.resources:
            served = resource.plural in names
            if self._served.get(resource) is not served:
                self._served[resource] = served
                changed.append(resource)
        return changed

    def _names(self, response: Response) -> set[str] | None:
        """Plural names in the answer; None if it says nothing about what is served."""
        self.error = ""
        if response.status == 404:
            return set()
        if response.status == 200 and not response.error:
            try:
                group = msgspec.json.decode(response.body, type=_Group)
            except msgspec.MsgspecError as error:
                self.error = f"a list of resources that cannot be decoded: {error}"
                return None
            return {served.name for served in group.resources or ()}
        self.error = said(response)
        # Who may not ask will not be allowed to list either; waiting would stop everything.
        return set() if response.status == REFUSED else None
