"""Reads owners that pods name and no watch has shown, so that nobody waits for what is gone."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.clock import Clock
from scheduler.kube.watcher import Found, Watcher
from scheduler.state.gang_view import OwnerRef

AGAIN_US = 2_000_000
"""An owner that was read and is still not known is read again after so long."""
UNREADABLE_AGAIN_US = 60_000_000
"""One that cannot be decoded, or that the watch is about to show."""


class OwnerReads:
    """One GET per owner at a time, and not in a loop.

    absent: told the uid of an owner that does not exist, or whose name another has now.
    """

    def __init__(self, watcher: Watcher, clock: Clock, absent: Callable[[str], None]) -> None:
        self._watcher = watcher
        self._clock = clock
        self._absent = absent
        self._again_us: dict[str, int] = {}

    def read(self, owner: OwnerRef) -> None:
        """Reads an owner, unless it was read a moment ago or its kind is not watched."""
        now = self._clock.elapsed_us()
        if now < self._again_us.get(owner.uid, 0):
            return
        self._forget(now)
        self._again_us[owner.uid] = now + UNREADABLE_AGAIN_US
        resource = self._watcher.resource_of(owner.kind, owner.api_version)
        if resource is None:
            return
        if self._watcher.served(resource) is False:
            # Its definition may have been installed a moment ago; once it is listed, it is seen.
            self._watcher.hurry(resource)
            self._absent(owner.uid)
            return
        self._watcher.get(
            resource, owner.namespace, owner.name, lambda found: self._answered(owner, found)
        )

    def _answered(self, owner: OwnerRef, found: Found) -> None:
        other = found.object is not None and found.object.metadata.uid != owner.uid
        if found.status == 404 or other:
            self._again_us.pop(owner.uid, None)
            self._absent(owner.uid)
        elif found.object is None and found.status == 200:
            pass  # its list has told the sink; it may be repaired
        else:
            self._again_us[owner.uid] = self._clock.elapsed_us() + AGAIN_US

    def _forget(self, now_us: int) -> None:
        """Owners that nobody has asked for any more."""
        if len(self._again_us) > 10_000:
            self._again_us = {uid: at for uid, at in self._again_us.items() if at > now_us}
