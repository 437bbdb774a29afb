"""VolumeBinding, the half that filters: can the node use, find or make the pod's volumes.

Source: FindPodVolumes of plugins/volumebinding/binder.go (1.36). Several reasons may come
together; they are told in that function's order.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.constraints import Term
from scheduler.model.quantity import to_whole
from scheduler.model.volumes.matching import Candidate, by_size, candidates, unmatched
from scheduler.model.volumes.outcome import BINDING, Code, Outcomes, Verdict
from scheduler.model.volumes.prefilter import PodClaims
from scheduler.model.volumes.reach import Mask, Reach
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import NO_PROVISIONER, Claim, StorageClass, Volume

OUT_OF_REACH = 1
NO_MATCH = 2
NO_SPACE = 4
NO_VOLUME = 8
REASONS = {
    OUT_OF_REACH: "node(s) didn't match PersistentVolume's node affinity",
    NO_MATCH: "node(s) didn't find available persistent volumes to bind",
    NO_SPACE: "node(s) did not have enough free storage",
    NO_VOLUME: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
}
"""By bit, in the order in which they are told."""


class BindingFilter:
    """The rule over one set of node columns; what is the same for many pods is kept."""

    __slots__ = ("_migrated", "_names", "_reach", "_storage")

    def __init__(self, storage: Storage, names: tuple[str, ...], reach: Reach) -> None:
        self._storage = storage
        self._names = names
        self._reach = reach
        self._migrated: dict[str, Mask] = {}

    def verdict(self, claims: PodClaims) -> Verdict | None:
        """Verdict on all N rows, or None if every row passes."""
        outcomes = Outcomes(BINDING)
        bits, failed = self._bound(claims.bound, outcomes)
        asked = failed == 0
        if claims.waiting and asked.any():
            bits |= np.where(asked, self._waiting(claims.waiting, asked, failed, outcomes), 0)
        codes = failed
        for found in np.unique(bits[failed == 0]).tolist():
            if found:
                told = (text for bit, text in REASONS.items() if found & bit)
                number = outcomes.number(Code.UNRESOLVABLE, *told)
                codes[(failed == 0) & (bits == found)] = number
        return outcomes.verdict(codes) if codes.any() else None

    # ---- claims that have their volume

    def _bound(self, claims: tuple[Claim, ...], outcomes: Outcomes) -> tuple[I16, I16]:
        """(bits, codes of errors) per row; the first claim that fails on a row decides."""
        n = len(self._names)
        bits: I16 = np.zeros(n, np.int16)
        failed: I16 = np.zeros(n, np.int16)
        open_: Mask = np.ones(n, np.bool_)
        for claim in claims:
            volume = self._storage.volumes.get(claim.volume)
            if volume is None:
                bits[open_] |= NO_VOLUME
                break
            if volume.in_tree is not None and volume.in_tree.problem:
                wrong = open_ & self._has_migrated(volume.in_tree.plugin)
                if wrong.any():
                    text = f"could not translate pv: {volume.in_tree.problem}"
                    failed[wrong] = outcomes.error(text)
                    open_ &= ~wrong
            admitted = self.admitted(volume)
            bits[open_ & ~admitted] |= OUT_OF_REACH
            open_ &= admitted
        return bits, failed

    def admitted(self, volume: Volume) -> Mask:
        """bool[N]: rows whose labels the volume's node affinity admits. Read-only."""
        own = self._reach.of(volume.reach)
        moved = volume.in_tree
        if moved is None or moved.problem or volume.migrated_reach == volume.reach:
            return own
        there = self._has_migrated(moved.plugin)
        return np.where(there, self._reach.of(volume.migrated_reach), own)

    def _has_migrated(self, plugin: str) -> Mask:
        mask = self._migrated.get(plugin)
        if mask is None:
            known = (self._storage.nodes.get(name) for name in self._names)
            mask = np.array([d is not None and plugin in d.migrated for d in known], np.bool_)
            self._migrated[plugin] = mask
        return mask

    # ---- claims that wait for the pod

    def _waiting(
        self, claims: tuple[Claim, ...], asked: Mask, failed: I16, outcomes: Outcomes
    ) -> I16:
        """Bits of rows that are `asked`; a selector that cannot be read fails them all."""
        bits: I16 = np.zeros(len(self._names), np.int16)
        sent = tuple(claim for claim in claims if claim.selected_node is not None)
        here = asked.copy()
        for claim in sent:
            here &= self._is(claim.selected_node)
        bits[asked & ~here] = NO_MATCH
        free = by_size([claim for claim in claims if claim.selected_node is None])
        for claim in free:
            if claim.selector is not None and claim.selector.problem and here.any():
                what = "error creating internal label selector for claim"
                text = f"{what}: {claim.namespace}/{claim.name}: {claim.selector.problem}"
                failed[here] = outcomes.error(text)
                return bits
        rows = np.flatnonzero(here).astype(np.int32)
        makes = {claim: self._can_make(claim) for claim in {*sent, *free}}
        for group, without in self._matched(free, rows):
            found: I16 = np.zeros(len(group), np.int16)
            for claim in (*sent, *(free[i] for i in without)):
                found = np.where(found != 0, found, makes[claim][group])
            bits[group] = found
        return bits

    def _is(self, node: str | None) -> Mask:
        return np.array([name == node for name in self._names], np.bool_)

    def _matched(self, claims: tuple[Claim, ...], rows: I32) -> list[tuple[I32, tuple[int, ...]]]:
        """(rows, claims that find no volume there), once for all rows that look the same."""
        choices = [candidates(claim, self._storage) for claim in claims]
        reaches = _distinct(choices)
        if not rows.size or not reaches:
            return [(rows, tuple(range(len(claims))))]
        admits = np.array([self._reach.of(each)[rows] for each in reaches], np.bool_)
        packed = np.packbits(admits, axis=0)
        _, first, group = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        found = []
        for number, column in enumerate(first.tolist()):
            at_node = dict(zip(reaches, admits[:, column].tolist(), strict=True))
            found.append((rows[group.reshape(-1) == number], unmatched(choices, at_node)))
        return found

    def _can_make(self, claim: Claim) -> I16:
        """Bits per row: why no volume can be made for `claim` there (checkVolumeProvisions)."""
        known = self._storage.classes[claim.storage_class]
        n = len(self._names)
        if known.provisioner in ("", NO_PROVISIONER):
            return np.full(n, NO_MATCH, np.int16)
        space = np.where(self._has_space(claim, known), 0, NO_SPACE)
        reachable = self._reach.of(known.topologies)
        return np.where(reachable, space, NO_MATCH).astype(np.int16)

    def _has_space(self, claim: Claim, known: StorageClass) -> Mask:
        driver = self._storage.drivers.get(known.provisioner)
        if claim.size is None or driver is None or not driver.tracks_capacity:
            return self._reach.everywhere
        size = to_whole(claim.size)
        found: Mask = np.zeros(len(self._names), np.bool_)
        for space in self._storage.spaces_of(known.name):
            if space.largest is not None and space.largest >= size:
                found |= self._reach.selected(space.nodes)
        return found


def _distinct(choices: list[tuple[Candidate, ...]]) -> list[tuple[Term, ...] | None]:
    """Reaches of all candidates, each once."""
    return list(dict.fromkeys(each.volume.reach for mine in choices for each in mine))
