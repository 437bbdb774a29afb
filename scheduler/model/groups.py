"""PodGroups of `scheduling.x-k8s.io/v1alpha1`: gangs by an object that pods name in a label."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.decode import MOST_MEMBERS, ObjectError
from scheduler.model.objects import PodGroupObject

GROUP_LABEL = "scheduling.x-k8s.io/pod-group"
GROUP_API = "scheduling.x-k8s.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class Group:
    """One PodGroup. Pods name it by namespace and name; its UID is the gang's key."""

    namespace: str
    name: str
    uid: str
    generation: int
    min_member: int
    """Members that make the gang worth starting, at least 1."""


def decode_pod_group(found: PodGroupObject) -> Group:
    """A PodGroup; without minMember one member is enough. Raises ObjectError."""
    meta = found.metadata
    key = f"PodGroup {meta.namespace}/{meta.name}"
    if not meta.name:
        raise ObjectError(key, "metadata.name is missing")
    members = 1 if found.spec.min_member is None else found.spec.min_member
    if not 0 <= members <= MOST_MEMBERS:
        raise ObjectError(key, f"minMember is {members}; Muster reads 0 to {MOST_MEMBERS}")
    return Group(meta.namespace, meta.name, meta.uid, meta.generation, max(members, 1))
