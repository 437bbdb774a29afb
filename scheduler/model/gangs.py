"""Which pods form a gang, in which order, and what the gang asks for.

Found in this order: the label `scheduling.x-k8s.io/pod-group`, where PodGroups are known; the
label `muster.dev/gang`; else the pod's controller: a StatefulSet, an Indexed Job whose completions
run all at once, any Job or ReplicaSet with the annotation `muster.dev/gang-workload: "true"`.
Every other pod is a gang of one. Gated, terminating and finished pods are no members. A pod whose
controller is of a known kind, or that names a PodGroup, which is not among the given ones waits
for it: it is reported, never guessed at. The rules stand one by one in `gang_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.model.decode import Controller, Pod
from scheduler.model.gang_rules import (
    GROUP_KEY,
    LABEL_KEY,
    belongs_to,
    gives_ranks,
    lowest_priority,
    makes_gang,
    minimum_of,
    rank_of,
    rank_problems,
    suffix_counts,
    wanted_by_label,
)
from scheduler.model.groups import GROUP_LABEL, Group
from scheduler.model.ranks import NO_RANK, number_members
from scheduler.model.wishes import GANG_LABEL, GANG_SIZE_LABEL, Level, Wishes, read_wishes


@dataclass(frozen=True, slots=True)
class Gang:
    """One gang. Its members are indices into the pods it was found in, lowest rank first."""

    key: str
    """UID of its controller, PodGroup or pod, or `label:NAMESPACE/NAME`."""
    name: str
    """NAMESPACE/KIND/NAME."""
    wanted: int
    minimum: int
    """Members that make it worth starting, at most `wanted`."""
    members: tuple[int, ...]
    ranks: tuple[int, ...]
    """Rising, one per member."""
    wishes: Wishes
    priority: int
    """The lowest among its members."""
    withheld: tuple[int, ...]
    """Ranks of members that its controller will only show when earlier ones run."""
    controller: Controller | None
    single: bool
    """A pod that is no gang."""
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all wanted members exist, or the missing ones are withheld."""
        return len(self.members) + len(self.withheld) >= self.wanted


@dataclass(frozen=True, slots=True)
class Found:
    """Every gang in order of its first pod, and pods whose controller is not known yet."""

    gangs: tuple[Gang, ...]
    orphans: tuple[int, ...]


def find_gangs(
    pods: Sequence[Pod],
    controllers: Iterable[Controller],
    levels: tuple[Level, ...],
    groups: Iterable[Group] | None = None,
) -> Found:
    """The gangs among `pods`; pods that are no members are left out. Pure, in order of pods.

    groups: the PodGroups; None = none are read, and the label that names one says nothing.
    """
    finder = _Finder(pods, controllers, levels, groups)
    return finder.found()


class _Finder:
    """The objects of a cluster, by what pods call them."""

    def __init__(
        self,
        pods: Sequence[Pod],
        controllers: Iterable[Controller],
        levels: tuple[Level, ...],
        groups: Iterable[Group] | None,
    ) -> None:
        self.pods = pods
        self.levels = levels
        self.by_uid = {controller.uid: controller for controller in controllers}
        self.reads_groups = groups is not None
        self.groups = {f"{GROUP_KEY}{g.namespace}/{g.name}": g for g in groups or ()}

    def found(self) -> Found:
        """Every gang, and pods that wait for what they belong to."""
        members: dict[str, list[int]] = {}
        belongs: dict[str, str] = {}
        orphans: list[int] = []
        for at, pod in enumerate(self.pods):
            if not pod.member:
                continue
            to = belongs_to(pod, groups=self.reads_groups)
            key = self._key(to, pod)
            if key is None:
                orphans.append(at)
            else:
                members.setdefault(key, []).append(at)
                belongs[key] = to
        gangs = [self._gang(key, belongs[key], at) for key, at in members.items()]
        return Found(tuple(gangs), tuple(orphans))

    def _key(self, to: str, pod: Pod) -> str | None:
        """Key of the gang of a pod that belongs to `to`, None while that is not known."""
        if to.startswith(GROUP_KEY):
            group = self.groups.get(to)
            return None if group is None else group.uid
        if to.startswith(LABEL_KEY):
            return to
        controller = self.by_uid.get(to) if to else None
        if to and controller is None:
            return None
        if controller is not None and makes_gang(controller):
            return controller.uid
        return pod.uid or f"pod:{pod.key}"

    def _gang(self, key: str, to: str, at: list[int]) -> Gang:
        first = self.pods[at[0]]
        group = self.groups.get(to)
        controller = self.by_uid.get(key) if key == to else None
        ranks, members, amiss = self._ranked(to, at)
        pods = [self.pods[i] for i in members]
        annotations = controller.annotations if controller else pods[0].annotations
        wishes, ignored = read_wishes(annotations, self.levels)
        wanted, problems = _wanted(to, controller, group, pods)
        minimum, told = minimum_of(wishes, wanted)
        if group is not None:
            minimum, told = group.min_member, []
        priority, mixed = lowest_priority(sorted({pod.priority for pod in pods}))
        if controller is not None and gives_ranks(controller):
            mixed += rank_problems([self.pods[i].name for i in amiss])
        return Gang(
            key=key,
            name=_name(to, controller, first),
            wanted=wanted,
            minimum=minimum,
            members=tuple(members),
            ranks=tuple(ranks),
            wishes=wishes,
            priority=priority,
            withheld=_withheld(controller, wishes, ranks),
            controller=controller,
            single=controller is None and not to.startswith((GROUP_KEY, LABEL_KEY)),
            problems=(*problems, *told, *mixed, *ignored),
        )

    def _ranked(self, to: str, at: list[int]) -> tuple[list[int], list[int], list[int]]:
        """(ranks, members), rising, and members whose own ranks could not be kept."""
        stated = np.full(len(at), NO_RANK, np.int32)
        for i, number in enumerate(at):
            pod = self.pods[number]
            rank = rank_of(pod, suffix=suffix_counts(to, pod.owner))
            stated[i] = NO_RANK if rank is None else rank
        nowhere = np.full(len(at), NO_RANK, np.int32)
        ranks, amiss = number_members(stated, nowhere, lambda i: self.pods[at[i]].name)
        order = np.argsort(ranks, kind="stable").tolist()
        strays = [] if amiss is None else np.flatnonzero(amiss).tolist()
        return ranks[order].tolist(), [at[i] for i in order], [at[i] for i in strays]


def _wanted(
    to: str, controller: Controller | None, group: Group | None, members: list[Pod]
) -> tuple[int, list[str]]:
    there = len(members)
    if group is not None:
        return max(group.min_member, there), []
    if controller is not None:
        # While a set is scaled down, members beyond its size still run.
        return max(controller.wanted, there), []
    if not to.startswith(LABEL_KEY):
        return 1, []
    return wanted_by_label((pod.labels.get(GANG_SIZE_LABEL, "") for pod in members), there)


def _withheld(controller: Controller | None, wishes: Wishes, ranks: list[int]) -> tuple[int, ...]:
    if controller is None or not controller.ordered or not wishes.hold:
        return ()
    there = set(ranks)
    wanted = range(controller.first, controller.first + controller.wanted)
    return tuple(rank for rank in wanted if rank not in there)


def _name(to: str, controller: Controller | None, first: Pod) -> str:
    if to.startswith(GROUP_KEY):
        return f"{first.namespace}/PodGroup/{first.labels.get(GROUP_LABEL, '')}"
    if to.startswith(LABEL_KEY):
        return f"{first.namespace}/Gang/{first.labels.get(GANG_LABEL, '')}"
    if controller is not None:
        return f"{controller.namespace}/{controller.kind}/{controller.name}"
    return f"{first.namespace}/Pod/{first.name}"
