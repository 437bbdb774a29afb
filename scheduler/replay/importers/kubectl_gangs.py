"""The gangs that wait in a cluster's dump, with the shapes, ranks and pins of their members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from scheduler.model.constraints import Term
from scheduler.model.decode import Pod
from scheduler.model.filters.node_affinity import affinity_mask
from scheduler.model.gangs import Gang, find_gangs
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_PIN
from scheduler.model.resources import ResourceOrder
from scheduler.model.snapshot import Snapshot
from scheduler.model.wishes import Level
from scheduler.replay.cluster_file import ClusterFile, GangEntry
from scheduler.replay.importers.kubectl_dump import Dump, seat_of
from scheduler.replay.importers.kubectl_rules import RuledPods
from scheduler.replay.snapshot_dir import snapshot_of

VOLUMES = "zones and limits of volumes"
UNBOUND = "claims without a volume"
"""Rules that are not checked here; a running scheduler checks, or waits."""


class WaitingGangs:
    """Fills the gangs that wait into a file whose nodes stand already."""

    def __init__(
        self, dump: Dump, order: ResourceOrder, file: ClusterFile, dropped: Counter[str]
    ) -> None:
        self.pods = dump.pods
        self.controllers = dump.controllers
        self.file = file
        self.dropped = dropped
        self.claims = {claim.key: claim for claim in dump.claims}
        self.disks = {disk.name: disk for disk in dump.disks}
        self.snapshot: Snapshot = snapshot_of(file)
        self.ruled = RuledPods(dump, order)
        self.pins: dict[tuple[str, ...], int] = {}
        self.reach: dict[str, frozenset[str] | None] = {}
        """Volume -> nodes that can reach it, None = all."""

    def fill(self, levels: tuple[Level, ...]) -> None:
        """Adds gangs, shapes, pins and notes."""
        found = find_gangs(self.pods, self.controllers, levels)
        for gang in found.gangs:
            entry = self._entry(gang, levels)
            if entry is not None:
                self.file.gangs.append(entry)
        orphans = sum(1 for at in found.orphans if not seat_of(self.pods[at]))
        if orphans:
            self.dropped["pod without its controller"] += orphans
            self.file.notes.append(f"{orphans} waiting pods name a controller that is not here")
        self.ruled.settle(self.file)
        self.file.pins = [list(names) for names in self.pins]

    def _entry(self, gang: Gang, levels: tuple[Level, ...]) -> GangEntry | None:
        """The gang's members that wait; None if none does."""
        waiting = {
            rank: self.pods[at]
            for rank, at in zip(gang.ranks, gang.members, strict=True)
            if not seat_of(self.pods[at])
        }
        if not waiting:
            return None
        seats = Counter(seat_of(self.pods[at]) for at in gang.members)
        bound = sum(count for node, count in seats.items() if node)
        later = gang.withheld if gang.controller else ()
        ranks = sorted({*waiting, *later})
        pods = [waiting.get(rank) or self._later(gang, rank) for rank in ranks]
        unsupported = self._unchecked(gang, pods)
        there = len(gang.members) + len(later)
        # With the minimum there the rest may come late; without it nothing is placed.
        missing = 0 if there >= gang.minimum else gang.wanted - there
        if missing:
            self.dropped["pod of an incomplete gang"] += len(waiting)
        wishes = gang.wishes
        return GangEntry(
            key=gang.key,
            name=gang.name,
            minimum=min(len(ranks), max(1, gang.minimum - bound)),
            required=_level_name(levels, wishes.required),
            preferred=_level_name(levels, wishes.preferred),
            segment_size=wishes.segment_size,
            segment_topology=_level_name(levels, wishes.segment_level),
            priority=gang.priority,
            ready_us=max(pod.created_us for pod in waiting.values()),
            single=gang.single,
            waits_for=missing,
            bound={node: count for node, count in sorted(seats.items()) if node},
            pods=[waiting[rank].name if rank in waiting else "" for rank in ranks],
            ranks=ranks,
            shapes=[self.ruled.waits(pod) for pod in pods],
            pins=[self._pin(gang, pod) for pod in pods],
            unsupported=unsupported,
        )

    def _unchecked(self, gang: Gang, pods: Sequence[Pod]) -> list[str]:
        """Rules that nobody checks for these pods, noted with what was wrong with the gang."""
        rules = sorted({rule for pod in pods for rule in (*pod.unsupported, *self._volumes(pod))})
        unmet = gang.wishes.unmet
        unchecked = [f"{rule} is not checked" for rule in rules]
        texts = (*gang.problems, *unmet, *unchecked)
        self.file.notes += [f"{gang.name}: {text}" for text in texts]
        return [*unmet, *rules]

    def _volumes(self, pod: Pod) -> list[str]:
        """What kube-scheduler would ask of the claims that a pod mounts."""
        if not pod.claims:
            return []
        found = [self.claims.get(f"{pod.namespace}/{name}") for name in pod.claims]
        unbound = any(claim is not None and not claim.volume for claim in found)
        return [VOLUMES, UNBOUND] if unbound else [VOLUMES]

    def _later(self, gang: Gang, rank: int) -> Pod:
        """A member that the controller has not created yet."""
        if gang.controller is None:
            raise AssertionError(f"{gang.name}: rank {rank} has no pod")
        return gang.controller.template

    def _pin(self, gang: Gang, pod: Pod) -> int:
        allowed = None if pod.pins is None else frozenset(pod.pins)
        for name in pod.claims:
            reach = self._reach(gang, f"{pod.namespace}/{name}")
            if reach is not None:
                allowed = reach if allowed is None else allowed & reach
        if allowed is None:
            return NO_PIN
        names = tuple(sorted(allowed & set(self.snapshot.names), key=natural_key))
        return self.pins.setdefault(names, len(self.pins))

    def _reach(self, gang: Gang, key: str) -> frozenset[str] | None:
        """Nodes that can use the claim `key`, None = all (also where nothing is known of it)."""
        claim = self.claims.get(key)
        if claim is None:
            self._note(f"{gang.name}: PersistentVolumeClaim {key} is not in the dump")
            return None
        if claim.selected_node:
            return frozenset({claim.selected_node})
        if not claim.volume:
            return None
        if claim.volume not in self.disks:
            self._note(
                f"{gang.name}: where volume {claim.volume} can be used is not known (dump pv too)"
            )
            return None
        if claim.volume not in self.reach:
            terms = self.disks[claim.volume].affinity
            self.reach[claim.volume] = None if terms is None else self._admitted(terms)
        return self.reach[claim.volume]

    def _admitted(self, terms: tuple[Term, ...]) -> frozenset[str]:
        rows = np.flatnonzero(affinity_mask(terms, self.snapshot)).tolist()
        return frozenset(self.snapshot.names[row] for row in rows)

    def _note(self, text: str) -> None:
        if text not in self.file.notes:
            self.file.notes.append(text)


def _level_name(levels: Sequence[Level], number: int) -> str:
    return levels[number].name if number >= 0 else ""
