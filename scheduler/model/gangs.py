"""Which pods form a gang, in which order, and what the gang asks for.

Found in this order: the label `muster.dev/gang`; else the pod's controller: a StatefulSet, an
Indexed Job whose completions run all at once, any Job or ReplicaSet with the annotation
`muster.dev/gang-workload: "true"`. Every other pod is a gang of one. Gated, terminating and
finished pods are no members. A pod whose controller is of a known kind but not among the given
ones waits for it: it is reported, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.model.decode import Controller, Pod
from scheduler.model.names import natural_key
from scheduler.model.wishes import (
    GANG_LABEL,
    GANG_SIZE_LABEL,
    GANG_WORKLOAD,
    Level,
    Wishes,
    read_wishes,
)

KNOWN_KINDS = ("StatefulSet", "Job", "ReplicaSet")
RANK_LABELS = (
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "leaderworkerset.sigs.k8s.io/worker-index",
)
"""Labels (or annotations, for Jobs of old clusters) that carry a pod's rank; the first wins."""

_SUFFIX = re.compile(r"-([0-9]+)\Z")
_NUMBER = re.compile(r"[0-9]+")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Gang:
    """One gang. Its members are indices into the pods it was found in, lowest rank first."""

    key: str
    """UID of its controller or pod, or `label:NAMESPACE/NAME`."""
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
    pods: Sequence[Pod], controllers: Iterable[Controller], levels: tuple[Level, ...]
) -> Found:
    """The gangs among `pods`; pods that are no members are left out. Pure, in order of pods."""
    by_uid = {controller.uid: controller for controller in controllers}
    groups: dict[str, list[int]] = {}
    orphans: list[int] = []
    for at, pod in enumerate(pods):
        if not pod.member:
            continue
        key = gang_key(pod, by_uid)
        if key is None:
            orphans.append(at)
        else:
            groups.setdefault(key, []).append(at)
    gangs = [_gang(key, members, pods, by_uid, levels) for key, members in groups.items()]
    return Found(tuple(gangs), tuple(orphans))


def gang_key(pod: Pod, controllers: Mapping[str, Controller]) -> str | None:
    """Key of the gang that `pod` belongs to, or None while its controller is not known."""
    label = pod.labels.get(GANG_LABEL)
    if label:
        return f"label:{pod.namespace}/{label}"
    if pod.owner is None or pod.owner.kind not in KNOWN_KINDS:
        return _own_key(pod)
    controller = controllers.get(pod.owner.uid)
    if controller is None:
        return None
    return controller.uid if makes_gang(controller) else _own_key(pod)


def _own_key(pod: Pod) -> str:
    return pod.uid or f"pod:{pod.key}"


def makes_gang(controller: Controller) -> bool:
    """Whether the pods of `controller` are placed together."""
    if controller.kind == "StatefulSet" or (controller.kind == "Job" and controller.indexed):
        return True
    return controller.annotations.get(GANG_WORKLOAD, "").strip().lower() == "true"


def rank_of(pod: Pod, *, suffix: bool = True) -> int | None:
    """Rank by label, else (if `suffix`) by the number that ends the name; None without one."""
    for label in RANK_LABELS:
        text = pod.labels.get(label) or pod.annotations.get(label)
        if text and _NUMBER.fullmatch(text):
            return _in_range(text)
    match = _SUFFIX.search(pod.name) if suffix else None
    return _in_range(match[1]) if match else None


def _in_range(text: str) -> int | None:
    # Lengths first: Python refuses to read thousands of digits.
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(_LARGEST)) and int(digits) <= _LARGEST else None


def _gang(
    key: str,
    members: list[int],
    pods: Sequence[Pod],
    controllers: Mapping[str, Controller],
    levels: tuple[Level, ...],
) -> Gang:
    first = pods[members[0]]
    label = first.labels.get(GANG_LABEL)
    controller = None
    if not label and first.owner and first.owner.uid == key:
        controller = controllers.get(key)
    # A ReplicaSet's pods end in random characters, sometimes in digits only.
    numbered = controller is None or controller.kind == "StatefulSet"
    ranks, members = _ranked(members, pods, suffix=numbered)
    problems: list[str] = []
    wanted = _wanted(label, controller, [pods[at] for at in members], problems)
    annotations = controller.annotations if controller else pods[members[0]].annotations
    wishes, ignored = read_wishes(annotations, levels)
    minimum = wishes.min_available or wanted
    if minimum > wanted:
        problems.append(f"min-available {minimum} is more than the {wanted} wanted: ignored")
        minimum = wanted
    priorities = sorted({pods[at].priority for at in members})
    if len(priorities) > 1:
        problems.append(f"members have priorities {priorities}: the lowest counts")
    return Gang(
        key=key,
        name=_name(label, controller, first),
        wanted=wanted,
        minimum=minimum,
        members=tuple(members),
        ranks=tuple(ranks),
        wishes=wishes,
        priority=priorities[0],
        withheld=_withheld(controller, wishes, ranks),
        controller=controller,
        single=controller is None and not label,
        problems=(*problems, *ignored),
    )


def _ranked(
    members: list[int], pods: Sequence[Pod], *, suffix: bool
) -> tuple[list[int], list[int]]:
    """(ranks, members), rising. Ranks that are missing or come twice give way to 0, 1, 2, .."""
    own = {at: rank_of(pods[at], suffix=suffix) for at in members}

    def key(at: int) -> tuple[bool, int, object]:
        rank = own[at]
        return rank is None, rank or 0, natural_key(pods[at].name)

    ordered = sorted(members, key=key)
    ranks = [rank for rank in map(own.__getitem__, ordered) if rank is not None]
    if len(set(ranks)) < len(members):
        ranks = list(range(len(members)))
    return ranks, ordered


def _wanted(
    label: str | None, controller: Controller | None, members: list[Pod], problems: list[str]
) -> int:
    there = len(members)
    if controller is not None:
        # While a set is scaled down, members beyond its size still run.
        return max(controller.wanted, there)
    if not label:
        return 1
    sizes = sorted({pod.labels.get(GANG_SIZE_LABEL, "") for pod in members})
    number = _in_range(sizes[0]) if len(sizes) == 1 and _NUMBER.fullmatch(sizes[0]) else None
    if number is None or number < 1:
        problems.append(f"label {GANG_SIZE_LABEL} is {' and '.join(map(repr, sizes))}: ignored")
        return there
    if number < there:
        problems.append(f"label {GANG_SIZE_LABEL} is {number}, {there} members exist")
    return max(number, there)


def _withheld(controller: Controller | None, wishes: Wishes, ranks: list[int]) -> tuple[int, ...]:
    if controller is None or not controller.ordered or not wishes.hold:
        return ()
    there = set(ranks)
    wanted = range(controller.first, controller.first + controller.wanted)
    return tuple(rank for rank in wanted if rank not in there)


def _name(label: str | None, controller: Controller | None, first: Pod) -> str:
    if label:
        return f"{first.namespace}/Gang/{label}"
    if controller is not None:
        return f"{controller.namespace}/{controller.kind}/{controller.name}"
    return f"{first.namespace}/Pod/{first.name}"
