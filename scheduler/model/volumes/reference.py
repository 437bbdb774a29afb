"""kube-scheduler's volume rules for one pod and one node, written as they read.

The twin that tests compare the columns with: nothing is precomputed, no two nodes share work.
Source: Filter of the four plugins (1.36); PreFilter is the same for both (see prefilter.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.model.audience import holds
from scheduler.model.constraints import Term
from scheduler.model.filters.reference import NodeFacts, term_admits
from scheduler.model.quantity import to_whole
from scheduler.model.tokens import clash
from scheduler.model.volumes import binding, limits, restrictions, zone
from scheduler.model.volumes.handles import (
    NotCountableError,
    attached_by_controller,
    attaches,
)
from scheduler.model.volumes.in_tree import BETA_REGION, BETA_ZONE, REGION, ZONE
from scheduler.model.volumes.outcome import Code, Outcome
from scheduler.model.volumes.prefilter import PodClaims
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import NO_PROVISIONER, Claim, LabelRule, PodVolumes, Volume

Answer = Outcome | None


@dataclass(frozen=True, slots=True)
class There:
    """One node, and who is where."""

    name: str
    labels: Mapping[str, str]
    pods: Sequence[PodVolumes] = ()
    """On this node."""
    claims: frozenset[tuple[str, str]] = frozenset()
    """(namespace, name) in use on any node."""


def answers(pod: PodVolumes, claims: PodClaims, storage: Storage, node: There) -> list[Answer]:
    """What the four plugins say, in their order; None = passes."""
    return [
        _restrictions(pod, storage, node),
        _limits(pod, storage, node),
        _binding(claims, storage, node),
        _zone(pod, storage, node),
    ]


def _error(plugin: str, what: str) -> Outcome:
    return Outcome(Code.ERROR, (f'running "{plugin}" filter plugin: {what}',))


def _restrictions(pod: PodVolumes, storage: Storage, node: There) -> Answer:
    held = [token for each in node.pods for token in each.disks]
    if any(clash(wanted, taken) for wanted in pod.disks for taken in held):
        return Outcome(Code.UNSCHEDULABLE, (restrictions.DISK_CONFLICT,))
    for name in pod.claims:
        alone = "ReadWriteOncePod" in storage.claims[pod.namespace, name].access_modes
        if alone and (pod.namespace, name) in node.claims:
            return Outcome(Code.UNSCHEDULABLE, (restrictions.ONE_POD_CONFLICT,))
    return None


def _limits(pod: PodVolumes, storage: Storage, node: There) -> Answer:
    csi_node = storage.nodes.get(node.name)
    if csi_node is None:
        return None
    there: dict[str, str] = {}
    try:
        new = attaches(pod, storage)
        if not new or not csi_node.limits:
            return None
        for each in node.pods:
            there |= attaches(each, storage)
    except NotCountableError as error:
        return _error("NodeVolumeLimits", str(error))
    count: dict[str, int] = {}
    for volume, driver in (attached_by_controller(node.name, storage) | there).items():
        count[driver] = count.get(driver, 0) + (volume != "")
    more: dict[str, int] = {}
    for volume, driver in new.items():
        if volume not in there:
            more[driver] = more.get(driver, 0) + 1
    for driver, added in more.items():
        if driver in csi_node.limits and count.get(driver, 0) + added > csi_node.limits[driver]:
            return Outcome(Code.UNSCHEDULABLE, (limits.TOO_MANY,))
    return None


def _admits(terms: Sequence[Term] | None, node: There) -> bool:
    facts = NodeFacts(node.name, labels=node.labels)
    return terms is None or any(term_admits(term, facts) for term in terms)


def _binding(claims: PodClaims, storage: Storage, node: There) -> Answer:
    bits = 0
    for claim in claims.bound:
        volume = storage.volumes.get(claim.volume)
        if volume is None:
            bits |= binding.NO_VOLUME
            break
        reach = volume.reach
        csi_node = storage.nodes.get(node.name)
        moved = volume.in_tree
        if moved is not None and csi_node is not None and moved.plugin in csi_node.migrated:
            if moved.problem:
                return _error("VolumeBinding", f"could not translate pv: {moved.problem}")
            reach = volume.migrated_reach
        if not _admits(reach, node):
            bits |= binding.OUT_OF_REACH
            break
    found = _waiting(claims.waiting, storage, node)
    if isinstance(found, Outcome):
        return found
    bits |= found
    told = tuple(text for bit, text in binding.REASONS.items() if bits & bit)
    return Outcome(Code.UNRESOLVABLE, told) if told else None


def _waiting(claims: Sequence[Claim], storage: Storage, node: There) -> int | Outcome:
    to_make: list[Claim] = []
    free: list[Claim] = []
    for claim in claims:
        if claim.selected_node is None:
            free.append(claim)
        elif claim.selected_node != node.name:
            return binding.NO_MATCH
        else:
            to_make.append(claim)
    chosen: set[str] = set()
    for claim in sorted(free, key=lambda each: each.size or 0):
        if claim.selector is not None and claim.selector.problem:
            name = f"{claim.namespace}/{claim.name}: {claim.selector.problem}"
            text = f"error creating internal label selector for claim: {name}"
            return _error("VolumeBinding", text)
        volume = _find(claim, storage, node, chosen)
        if volume is None:
            to_make.append(claim)
        else:
            chosen.add(volume.name)
    for claim in to_make:
        bit = _cannot_make(claim, storage, node)
        if bit:
            return bit
    return 0


def _find(claim: Claim, storage: Storage, node: There, chosen: set[str]) -> Volume | None:
    smallest: Volume | None = None
    for volume in storage.volumes_of(claim.storage_class):
        if volume.name in chosen:
            continue
        if volume.claim is not None and not volume.claim.means(claim):
            continue
        if volume.size < (claim.size or 0) or volume.mode != claim.mode:
            continue
        if volume.attributes != claim.attributes or volume.deleting:
            continue
        near = _admits(volume.reach, node)
        if volume.claim is not None:
            return volume if near else None
        if not volume.available or not near:
            continue
        if claim.selector is not None and not holds(claim.selector.requirements, volume.labels):
            continue
        if any(mode not in volume.access_modes for mode in claim.access_modes):
            continue
        if smallest is None or smallest.size > volume.size:
            smallest = volume
    return smallest


def _cannot_make(claim: Claim, storage: Storage, node: There) -> int:
    known = storage.classes[claim.storage_class]
    if known.provisioner in ("", NO_PROVISIONER) or not _admits(known.topologies, node):
        return binding.NO_MATCH
    driver = storage.drivers.get(known.provisioner)
    if claim.size is None or driver is None or not driver.tracks_capacity:
        return 0
    for space in storage.spaces_of(known.name):
        if space.largest is None or space.largest < to_whole(claim.size) or space.nodes is None:
            continue
        if not space.nodes.problem and _selected(space.nodes, node):
            return 0
    return binding.NO_SPACE


def _selected(rule: LabelRule, node: There) -> bool:
    return holds(rule.requirements, node.labels)


def _zone(pod: PodVolumes, storage: Storage, node: There) -> Answer:
    if not any(key in node.labels for key in zone.LABELS):
        return None
    stable = {BETA_ZONE: ZONE, BETA_REGION: REGION}
    for name in pod.claims:
        volume = storage.volumes.get(storage.claims[pod.namespace, name].volume)
        for key in zone.LABELS:
            if volume is None or key not in volume.labels:
                continue
            values = [part.strip() for part in volume.labels[key].split("__")]
            if "" in values:
                continue
            own = node.labels.get(key, node.labels.get(stable.get(key, key)))
            if own not in values:
                return Outcome(Code.UNRESOLVABLE, (zone.NO_ZONE,))
    return None
