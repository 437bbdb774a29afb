"""What refuses a pod before any node is looked at: claims and what they are bound to.

Sources: PreFilter of plugins/volumerestrictions, volumebinding and volumezone (1.36), in the
order of the default profile; NodeVolumeLimits refuses nobody there.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.volumes import outcome
from scheduler.model.volumes.outcome import Code, Refusal, not_found, prefilter_error
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import WAIT, Claim, Mount, PodVolumes, Via

CLAIM = "persistentvolumeclaim"
VOLUME = "persistentvolume"
CLASS = "storageclass.storage.k8s.io"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


@dataclass(frozen=True, slots=True)
class PodClaims:
    """The claims of a pod that PreFilter lets through, each as often as it is mounted."""

    bound: tuple[Claim, ...] = ()
    waiting: tuple[Claim, ...] = ()
    """WaitForFirstConsumer: still to be bound."""


NO_CLAIMS = PodClaims()


def admit(pod: PodVolumes, storage: Storage) -> PodClaims | Refusal:
    """The claims of `pod`, or the first PreFilter that refuses it."""
    claims = [m for m in pod.mounts if m.via is not Via.INLINE]
    if not claims:
        return NO_CLAIMS
    for mount in claims:
        if mount.via is Via.CLAIM and (pod.namespace, mount.claim) not in storage.claims:
            return _refusal(outcome.RESTRICTIONS, not_found(CLAIM, mount.claim))
    for mount in claims:
        problem = _unusable(pod, mount, storage)
        if problem:
            return _refusal(outcome.BINDING, problem)
    sorted_out = _sorted_out(pod, claims, storage)
    if isinstance(sorted_out, Refusal):
        return sorted_out
    return _without_zone(pod, storage) or sorted_out


def _refusal(plugin: str, reason: str) -> Refusal:
    return Refusal(plugin, Code.UNRESOLVABLE, reason)


def _unusable(pod: PodVolumes, mount: Mount, storage: Storage) -> str:
    """Why VolumeBinding will not look at this claim (podHasPVCs), or empty."""
    claim = storage.claims.get((pod.namespace, mount.claim))
    if claim is None:
        waiting = "waiting for ephemeral volume controller to create the"
        return f'{waiting} {CLAIM} "{mount.claim}"'
    if claim.lost:
        return f'{CLAIM} "{claim.name}" bound to non-existent {VOLUME} "{claim.volume}"'
    if claim.deleting:
        return f'{CLAIM} "{claim.name}" is being deleted'
    if mount.via is Via.EPHEMERAL and claim.controller != pod.uid:
        return not_owner(pod, claim)
    return ""


def not_owner(pod: PodVolumes, claim: Claim) -> str:
    """What is said of a claim with the name of a pod's ephemeral volume that is not the pod's."""
    name = f"{claim.namespace}/{claim.name}"
    return f"PVC {name} was not created for pod {pod.key} (pod is not owner)"


def _sorted_out(pod: PodVolumes, mounts: list[Mount], storage: Storage) -> PodClaims | Refusal:
    """Claims that are bound and those that wait for the pod (GetPodVolumeClaims)."""
    bound: list[Claim] = []
    waiting: list[Claim] = []
    immediate = False
    for mount in mounts:
        claim = storage.claims[pod.namespace, mount.claim]
        if claim.bound:
            bound.append(claim)
            continue
        known = storage.classes.get(claim.storage_class) if claim.storage_class else None
        if known is not None and known.binding is None:
            return prefilter_error(outcome.BINDING, _no_mode(claim.storage_class))
        if known is not None and known.binding == WAIT and not claim.volume:
            waiting.append(claim)
        else:
            immediate = True
    if immediate:
        return _refusal(outcome.BINDING, UNBOUND)
    return PodClaims(tuple(bound), tuple(waiting))


def _no_mode(storage_class: str) -> str:
    return f'VolumeBindingMode not set for StorageClass "{storage_class}"'


def _without_zone(pod: PodVolumes, storage: Storage) -> Refusal | None:
    """What VolumeZone's PreFilter misses of the claims that VolumeBinding has let through.

    One without a volume has a class by now, and waits for its first consumer.
    """
    for name in pod.claims:
        volume = storage.claims[pod.namespace, name].volume
        if volume and volume not in storage.volumes:
            return _refusal(outcome.ZONE, not_found(VOLUME, volume))
    return None
