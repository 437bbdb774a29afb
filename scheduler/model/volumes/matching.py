"""Claims that wait for their first consumer, against volumes that exist: who gets which.

Source: findMatchingVolumes of plugins/volumebinding/binder.go and FindMatchingVolume of
component-helpers storage/volume/pv_helpers.go (1.36). Of equal volumes the first by name is
taken; kube-scheduler takes any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.model.audience import holds
from scheduler.model.constraints import Term
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import Claim, Volume


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume that a claim could have, if the node can use it."""

    volume: Volume
    promised: bool
    """It names the claim: no other volume will do."""


def by_size(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Smallest request first, otherwise in the pod's order."""
    return tuple(sorted(claims, key=lambda claim: claim.size or 0))


def candidates(claim: Claim, storage: Storage) -> tuple[Candidate, ...]:
    """Volumes for `claim`, best first: one that is promised to it, then the smallest.

    Equal ones, and several that are promised, stand by name.
    """
    found = [
        Candidate(volume, volume.claim is not None)
        for volume in storage.volumes_of(claim.storage_class)
        if _would_do(volume, claim)
    ]
    return tuple(sorted(found, key=_rank))


def _rank(each: Candidate) -> tuple[bool, int]:
    return (False, 0) if each.promised else (True, each.volume.size)


def _would_do(volume: Volume, claim: Claim) -> bool:
    if volume.claim is not None and not volume.claim.means(claim):
        return False
    if volume.size < (claim.size or 0) or volume.deleting:
        return False
    if (volume.mode, volume.attributes) != (claim.mode, claim.attributes):
        return False
    if volume.claim is not None:
        return True
    return (
        volume.available
        and (claim.selector is None or holds(claim.selector.requirements, volume.labels))
        and set(claim.access_modes) <= set(volume.access_modes)
    )


def unmatched(
    choices: Sequence[Sequence[Candidate]], admits: Mapping[tuple[Term, ...] | None, bool]
) -> tuple[int, ...]:
    """Indices of the claims that find no volume on one node.

    choices: candidates of each claim, claims in the order in which they choose.
    admits: by a volume's reach, whether the node is in it.
    """
    taken: set[str] = set()
    without: list[int] = []
    for index, mine in enumerate(choices):
        chosen = _first(mine, taken, admits)
        if chosen is None:
            without.append(index)
        else:
            taken.add(chosen)
    return tuple(without)


def _first(
    mine: Sequence[Candidate], taken: set[str], admits: Mapping[tuple[Term, ...] | None, bool]
) -> str | None:
    for each in mine:
        if each.volume.name in taken:
            continue
        if admits[each.volume.reach]:
            return each.volume.name
        if each.promised:
            return None
    return None
