"""What a sink has been shown of one resource: the memory that makes relists and replays safe."""

from __future__ import annotations

from typing import Protocol

import msgspec

from scheduler.kube.frames import Bad, Listed
from scheduler.kube.resources import Resource
from scheduler.model.objects import Base

UNKNOWN = -1
"""Version of an object whose resourceVersion is no number: always taken for newer."""


class Sink(Protocol):
    """Who is shown the objects."""

    def put(self, resource: Resource, obj: Base) -> None:
        """An object was added or has changed; never an older version than one shown before."""
        ...

    def gone(self, resource: Resource, uid: str, last: Base | None) -> None:
        """One that was shown is gone.

        `last` is what the DELETED event carries; None if a list found it missing, if another of
        its name has taken its place, or if the event could not be decoded.
        """
        ...

    def synced(self, resource: Resource) -> None:
        """The first list, or a later one, is complete."""
        ...

    def bad(self, resource: Resource, what: str) -> None:
        """An object or a line that could not be decoded; it is skipped."""
        ...


class Seen(msgspec.Struct, gc=False):
    """The incarnation and the version of an object that was shown last."""

    uid: str
    version: int


def number(resource_version: str) -> int:
    """A resourceVersion as what it counts, UNKNOWN if it is not a plain number.

    Kubernetes promises since 1.35 that they compare as integers; older servers behave so too.
    """
    plain = resource_version.isascii() and resource_version.isdigit()
    return int(resource_version) if plain else UNKNOWN


class Shown:
    """Objects by `namespace/name`, and the rules by which changes are handed to the sink.

    While a list is read, what it names moves from `_before` to `_now`; what is left over at its
    end has vanished. One small record per object, so that 300,000 pods take less than 100 MB.
    """

    def __init__(self, resource: Resource, sink: Sink) -> None:
        self._resource = resource
        self._sink = sink
        self._now: dict[str, Seen] = {}
        self._before: dict[str, Seen] = {}

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def put(self, obj: Listed) -> None:
        """An object as a list, a watch or a GET shows it."""
        meta = obj.metadata
        if not meta.name or not meta.uid:
            self._sink.bad(self._resource, f"{self._resource.kind} without a name or a uid")
            return
        key = f"{meta.namespace}/{meta.name}"
        version = number(meta.resource_version)
        old = self._named(key)
        if old is None:
            self._now[key] = Seen(meta.uid, version)
        elif old.uid != meta.uid:
            if UNKNOWN < version < old.version:
                return
            self._drop(key, None)
            self._now[key] = Seen(meta.uid, version)
        else:
            if UNKNOWN < version <= old.version:
                return
            old.version = version
        self._sink.put(self._resource, obj)

    def gone(self, obj: Listed) -> None:
        """An object as its DELETED event shows it; the past of another one is passed over."""
        meta = obj.metadata
        key = f"{meta.namespace}/{meta.name}"
        old = self._now.get(key) or self._before.get(key)
        if old is None or old.uid != meta.uid:
            return
        version = number(meta.resource_version)
        if version == UNKNOWN or version >= old.version:
            self._drop(key, obj)

    def bad(self, bad: Bad) -> None:
        """Something that cannot be decoded; what was shown before of the same object stands."""
        self._sink.bad(self._resource, bad.what)
        if bad.name is None:
            return
        key = f"{bad.name.namespace}/{bad.name.name}"
        old = self._named(key)
        if old is None or UNKNOWN < number(bad.name.resource_version) < old.version:
            return
        if bad.gone or old.uid != bad.name.uid:
            self._drop(key, None)

    def begin(self) -> None:
        """A list begins, from the start: it has named nothing yet."""
        # What an earlier list named before it broke off may have vanished since.
        if self._before:
            self._before.update(self._now)
        else:
            self._before = self._now
        self._now = {}

    def finish(self) -> None:
        """The list is complete: what it did not name has vanished."""
        vanished, self._before = self._before, {}
        for seen in vanished.values():
            self._sink.gone(self._resource, seen.uid, None)

    def clear(self) -> None:
        """Everything has vanished."""
        self.begin()
        self.finish()

    def forget_versions(self) -> None:
        """The server counts anew: any version will be taken for newer."""
        for shown in (self._now, self._before):
            for seen in shown.values():
                seen.version = UNKNOWN

    def _named(self, key: str) -> Seen | None:
        """What was shown under this name; a list under way has named it now."""
        if self._before:
            old = self._before.pop(key, None)
            if old is not None:
                self._now[key] = old
                return old
        return self._now.get(key)

    def _drop(self, key: str, last: Base | None) -> None:
        old = self._now.pop(key, None) or self._before.pop(key)
        self._sink.gone(self._resource, old.uid, last)
