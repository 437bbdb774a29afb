"""What its volumes mean for one pod that waits: may it be placed at all, and where."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from scheduler.model.reasons import REFUSED
from scheduler.model.resources import VOLUME_ROOM
from scheduler.model.volumes.handles import NotCountableError, attaches
from scheduler.model.volumes.outcome import LIMITS, RESTRICTIONS, Refusal
from scheduler.model.volumes.pins import Pin, pin_of
from scheduler.model.volumes.prefilter import PodClaims, admit
from scheduler.model.volumes.restrictions import ONE_POD_CONFLICT, one_pod_claims
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import Claim, PodVolumes, Volume

TO_BIND = "claims that are bound only when their pod has a node"
"""A rule that is not honoured yet: who asks for it waits, reason Unsupported."""


@dataclass(frozen=True, slots=True)
class VolumeReading:
    """One pod. Equal readings mean the same for it."""

    blocked: str = ""
    """kube-scheduler would not look at any node: REFUSED, `PLUGIN: its text`; empty otherwise."""
    unsupported: str = ""
    """Why the pod waits though kube-scheduler might place it; empty otherwise."""
    pin: Pin | None = None
    """Where its bound volumes can be used; None = anywhere."""
    needs: tuple[tuple[str, int], ...] = ()
    """Room that it takes on its node: resource `volumes of DRIVER` -> volumes, by name."""

    @property
    def said(self) -> str:
        """Why the pod waits, whatever the nodes; empty if it need not."""
        return self.blocked or self.unsupported


NOTHING = VolumeReading()


def read(
    pod: PodVolumes,
    storage: Storage,
    limited: Collection[str],
    in_use: Collection[tuple[str, str]],
) -> VolumeReading:
    """The reading of a waiting pod.

    limited: drivers that some node limits. in_use: (namespace, name) of claims that a pod other
    than this one uses, or may use before it.
    """
    claims = admit(pod, storage)
    if isinstance(claims, Refusal):
        return VolumeReading(blocked=f"{REFUSED}{claims.plugin}: {claims.reason}")
    if any((pod.namespace, name) in in_use for name in one_pod_claims(pod, storage)):
        return VolumeReading(blocked=f"{REFUSED}{RESTRICTIONS}: {ONE_POD_CONFLICT}")
    if claims.waiting:
        return VolumeReading(unsupported=TO_BIND)
    try:
        needs = _needs(pod, storage, limited)
    except NotCountableError as error:
        return VolumeReading(blocked=f"{REFUSED}{LIMITS}: {error}")
    bound, problem = _volumes(claims, storage)
    if problem:
        return VolumeReading(blocked=f"{REFUSED}{problem}")
    own = set(pod.claims)
    zoned = [storage.volumes[c.volume] for c in claims.bound if c.name in own]
    return VolumeReading(pin=pin_of(bound, zoned), needs=needs)


def _needs(
    pod: PodVolumes, storage: Storage, limited: Collection[str]
) -> tuple[tuple[str, int], ...]:
    """Every volume counts, also one that another pod of the node may use: never too few."""
    count: dict[str, int] = {}
    for driver in attaches(pod, storage).values():
        if driver in limited:
            count[VOLUME_ROOM + driver] = count.get(VOLUME_ROOM + driver, 0) + 1
    return tuple(sorted(count.items()))


def _volumes(claims: PodClaims, storage: Storage) -> tuple[list[Volume], str]:
    """(volumes of the bound claims, what is wrong with one of them on every node or on some)."""
    found: list[Volume] = []
    for claim in claims.bound:
        volume = storage.volumes.get(claim.volume)
        if volume is None:
            return [], f"VolumeBinding: {_lost(claim)}"
        if volume.in_tree is not None and volume.in_tree.problem:
            return [], f"VolumeBinding: could not translate pv: {volume.in_tree.problem}"
        found.append(volume)
    return found, ""


def _lost(claim: Claim) -> str:
    return f'persistentvolumeclaim "{claim.name}" bound to non-existent pv "{claim.volume}"'
