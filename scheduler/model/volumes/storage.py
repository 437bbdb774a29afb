"""Storage objects by name, as the rules look them up. Whoever owns a Storage writes to it."""

from __future__ import annotations

from scheduler.model.volumes.values import (
    Attachment,
    Claim,
    Driver,
    NodeDrivers,
    Space,
    StorageClass,
    Stored,
    Volume,
)


class Storage:
    """Claims, volumes, classes, drivers, room and attachments that exist now."""

    __slots__ = ("_attached", "_of_class", "_spaces", "claims", "classes", "drivers", "nodes",
                 "volumes")  # fmt: skip

    def __init__(self) -> None:
        self.claims: dict[tuple[str, str], Claim] = {}
        """By (namespace, name)."""
        self.volumes: dict[str, Volume] = {}
        self.classes: dict[str, StorageClass] = {}
        self.drivers: dict[str, Driver] = {}
        self.nodes: dict[str, NodeDrivers] = {}
        """By name of the node."""
        self._of_class: dict[str, dict[str, Volume]] = {}
        self._spaces: dict[str, Space] = {}
        self._attached: dict[str, dict[str, Attachment]] = {}

    def put(self, value: Stored) -> None:
        """`value` exists now, or has changed."""
        match value:
            case Claim():
                self.claims[value.namespace, value.name] = value
            case Volume():
                self._forget_volume(value.name)
                self.volumes[value.name] = value
                self._of_class.setdefault(value.storage_class, {})[value.name] = value
            case StorageClass():
                self.classes[value.name] = value
            case NodeDrivers():
                self.nodes[value.node] = value
            case Driver():
                self.drivers[value.name] = value
            case Space():
                self._spaces[value.key] = value
            case Attachment():
                self._attached.setdefault(value.node, {})[value.name] = value

    def drop(self, value: Stored) -> None:
        """`value` does not exist any more."""
        match value:
            case Claim():
                self.claims.pop((value.namespace, value.name), None)
            case Volume():
                self._forget_volume(value.name)
            case StorageClass():
                self.classes.pop(value.name, None)
            case NodeDrivers():
                self.nodes.pop(value.node, None)
            case Driver():
                self.drivers.pop(value.name, None)
            case Space():
                self._spaces.pop(value.key, None)
            case Attachment():
                there = self._attached.get(value.node, {})
                there.pop(value.name, None)
                if not there:
                    self._attached.pop(value.node, None)

    def _forget_volume(self, name: str) -> None:
        old = self.volumes.pop(name, None)
        if old is not None:
            del self._of_class[old.storage_class][name]

    def volumes_of(self, storage_class: str) -> list[Volume]:
        """Volumes of one class, by name."""
        return [each for _, each in sorted(self._of_class.get(storage_class, {}).items())]

    def spaces_of(self, storage_class: str) -> list[Space]:
        """Room for new volumes of one class."""
        return [each for each in self._spaces.values() if each.storage_class == storage_class]

    def attached_to(self, node: str) -> list[Attachment]:
        """VolumeAttachments to one node, by name."""
        return [each for _, each in sorted(self._attached.get(node, {}).items())]
