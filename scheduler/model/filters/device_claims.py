"""DynamicResources, as far as a scheduler without it goes: claims that are not there yet.

Muster allocates no devices: a pod with spec.resourceClaims is refused whatever the nodes say.
What keeps kube-scheduler from queueing such a pod is told in its words. Source:
plugins/dynamicresources (PreEnqueue), dynamic-resource-allocation/resourceclaim (1.36).
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.model.filters.default_order import Code, Verdict
from scheduler.model.objects import Metadata, PodObject
from scheduler.model.pod_objects import ResourceClaimReference

PLUGIN = "DynamicResources"
NOT_ALLOCATED = Verdict(
    PLUGIN, Code.UNRESOLVABLE, ("resource claims of pods are not allocated by this scheduler",)
)


def unmade_claim(pod: PodObject, claims: Mapping[tuple[str, str], Metadata]) -> Verdict | None:
    """The first of the pod's claims that it must wait for, or None.

    claims: metadata of the ResourceClaims there are, by (namespace, name).
    """
    for reference in pod.spec.resource_claims or ():
        problem = _problem(pod, reference, claims)
        if problem:
            return Verdict(PLUGIN, Code.UNRESOLVABLE, (problem,))
    return None


def _problem(
    pod: PodObject, reference: ResourceClaimReference, claims: Mapping[tuple[str, str], Metadata]
) -> str:
    meta = pod.metadata
    name = reference.resource_claim_name
    if name is None:  # made from a template, for this pod
        made = [s for s in pod.status.resource_claim_statuses or () if s.name == reference.name]
        if not made:
            return f'pod "{meta.namespace}/{meta.name}": ResourceClaim not created yet'
        name = made[0].resource_claim_name
        if name is None:  # none is needed
            return ""
    claim = claims.get((meta.namespace, name))
    if claim is None:
        return f'could not find ResourceClaim "{meta.namespace}/{name}"'
    if claim.deletion_timestamp is not None:
        return f'resourceclaim "{name}" is being deleted'
    owners = [ref.uid for ref in claim.owner_references or () if ref.controller]
    if reference.resource_claim_name is None and owners[:1] != [meta.uid]:
        return (
            f"ResourceClaim {meta.namespace}/{name} was not created for"
            f" Pod {meta.namespace}/{meta.name} (Pod is not owner)"
        )
    return ""
