"""A Sink that remembers what it was told, and objects to whatever breaks its contract."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.kube.resources import Resource
from scheduler.model.objects import Base, Metadata


def meta_of(obj: Base) -> Metadata:
    """Metadata of any object."""
    meta = obj.metadata  # type: ignore[attr-defined]
    assert isinstance(meta, Metadata)
    return meta


class RecordingSink:
    """`view` is what exists, by key; `log` everything in order, as short texts."""

    def __init__(self) -> None:
        self.view: dict[str, tuple[str, int]] = {}
        self.log: list[str] = []
        self.syncs = 0
        self.on_synced: Callable[[], None] = lambda: None
        self.complaints: list[str] = []
        self._dead: set[str] = set()
        self._keys: dict[str, str] = {}
        self._newest: dict[str, int] = {}

    def put(self, resource: Resource, obj: Base) -> None:
        """Added or changed."""
        assert resource.type is type(obj)
        meta = meta_of(obj)
        key, uid, version = f"{meta.namespace}/{meta.name}", meta.uid, int(meta.resource_version)
        self.log.append(f"put {key} {uid} {version}")
        assert uid not in self._dead, f"{uid} came back"
        assert key not in self.view or self.view[key][0] == uid, f"{key} is still another"
        assert version > self._newest.get(uid, -1), f"{uid} went back to {version}"
        self._newest[uid] = version
        self._keys[uid] = key
        self.view[key] = (uid, version)

    def gone(self, resource: Resource, uid: str, last: Base | None) -> None:
        """Removed."""
        self.log.append(f"gone {uid}")
        key = self._keys.get(uid)
        assert key is not None, f"{uid} was never shown"
        assert self.view.get(key, ("", 0))[0] == uid, f"{uid} was gone already"
        assert last is None or meta_of(last).uid == uid
        assert last is None or resource.type is type(last)
        self._dead.add(uid)
        del self.view[key]

    def synced(self, resource: Resource) -> None:
        """A list is complete."""
        self.log.append(f"synced {resource.kind}")
        self.syncs += 1
        self.on_synced()

    def bad(self, resource: Resource, what: str) -> None:
        """Something could not be decoded."""
        self.log.append(f"bad {resource.kind}")
        self.complaints.append(what)
