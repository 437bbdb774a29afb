"""The rules of gangs, one by one: who belongs to which, with which rank, how many are wanted.

`find_gangs` applies them to a whole cluster at once, the live scheduler's roster event by event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from scheduler.model.decode import Owner
from scheduler.model.groups import GROUP_LABEL
from scheduler.model.wishes import GANG_LABEL, GANG_SIZE_LABEL, GANG_WORKLOAD, Wishes

KNOWN_KINDS = {"StatefulSet": "apps/v1", "Job": "batch/v1", "ReplicaSet": "apps/v1"}
"""Controllers that are read -> the API version that they are read with."""
LATER_KINDS = {
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1",
    "JobSet": "jobset.x-k8s.io/v1alpha2",
}
"""Kinds that are known to make gangs, which are not placed yet -> an API version of theirs."""
RANK_LABELS = (
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "leaderworkerset.sigs.k8s.io/worker-index",
)
"""Labels (or annotations, for Jobs of old clusters) that carry a pod's rank; the first wins."""
ORDERED_RULE = "ordered StatefulSet (podManagementPolicy: Parallel is supported)"

GROUP_KEY = "group:"
LABEL_KEY = "label:"

_SUFFIX = re.compile(r"-([0-9]+)\Z")
_NUMBER = re.compile(r"[0-9]+")
_LARGEST = 2**31 - 1


class PodLike(Protocol):
    """What of a pod says where it belongs."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def owner(self) -> Owner | None:
        """Its controller."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        ...

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        ...


class ControllerLike(Protocol):
    """What of a controller says whether it makes gangs."""

    @property
    def kind(self) -> str:
        """Its kind."""
        ...

    @property
    def indexed(self) -> bool:
        """An Indexed Job with as many completions as pods at once."""
        ...

    @property
    def annotations(self) -> Mapping[str, str]:
        """Of its pod template."""
        ...


def belongs_to(pod: PodLike, *, groups: bool = True) -> str:
    """What the pod says it belongs to: `group:NS/NAME`, `label:NS/NAME`, its controller's UID.

    Empty for a pod of its own. groups: whether PodGroups are known at all; if not, their label
    says nothing.
    """
    labels = pod.labels
    if labels:
        named = labels.get(GROUP_LABEL)
        if named and groups:
            return f"{GROUP_KEY}{pod.namespace}/{named}"
        named = labels.get(GANG_LABEL)
        if named:
            return f"{LABEL_KEY}{pod.namespace}/{named}"
    owner = pod.owner
    return "" if owner is None or not is_known(owner) else owner.uid


def is_known(owner: Owner) -> bool:
    """Whether pods wait for such an owner; a Job of another API group, say, is nothing we read."""
    version = owner.api_version
    known = KNOWN_KINDS.get(owner.kind) or LATER_KINDS.get(owner.kind)
    if known is None or not version or version == known:
        return known is not None
    return version.partition("/")[0] == known.partition("/")[0]


def makes_gang(controller: ControllerLike) -> bool:
    """Whether the pods of `controller` are placed together."""
    if controller.kind == "StatefulSet" or (controller.kind == "Job" and controller.indexed):
        return True
    return controller.annotations.get(GANG_WORKLOAD, "").strip().lower() == "true"


def gives_ranks(controller: ControllerLike) -> bool:
    """Whether its pods must have ranks of their own: a set's ordinals, an Indexed Job's indices."""
    return controller.kind == "StatefulSet" or controller.indexed


def suffix_counts(belongs: str, owner: Owner | None) -> bool:
    """Whether the number that ends a pod's name is its rank.

    Not for a ReplicaSet's or a Job's pods: they end in random characters, sometimes digits only.
    """
    by_controller = belongs and not belongs.startswith((GROUP_KEY, LABEL_KEY))
    return not by_controller or owner is None or owner.kind == "StatefulSet"


def rank_of(pod: PodLike, *, suffix: bool = True) -> int | None:
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


def wanted_by_label(sizes: Iterable[str], there: int) -> tuple[int, list[str]]:
    """(wanted, problems) of a gang by label: `sizes` = what its members' size labels say."""
    texts = sorted(set(sizes))
    number = _in_range(texts[0]) if len(texts) == 1 and _NUMBER.fullmatch(texts[0]) else None
    if number is None or number < 1:
        said = " and ".join(map(repr, texts))
        return there, [f"label {GANG_SIZE_LABEL} is {said}: ignored"]
    if number < there:
        return there, [f"label {GANG_SIZE_LABEL} is {number}, {there} members exist"]
    return number, []


def minimum_of(wishes: Wishes, wanted: int) -> tuple[int, list[str]]:
    """(minimum, problems): all that are wanted, unless fewer are enough."""
    minimum = wishes.min_available or wanted
    if minimum > wanted:
        return wanted, [f"min-available {minimum} is more than the {wanted} wanted: ignored"]
    return minimum, []


def lowest_priority(priorities: Sequence[int]) -> tuple[int, list[str]]:
    """(priority, problems) of a gang whose members have these, rising."""
    if len(priorities) > 1:
        return priorities[0], [f"members have priorities {list(priorities)}: the lowest counts"]
    return priorities[0], []


def rank_problems(names: Sequence[str]) -> list[str]:
    """What is said of members of a ranked gang without a rank, or with another's."""
    if not names:
        return []
    some = ", ".join(sorted(names)[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"ranks of {some}{more} are missing or come twice: members are numbered 0, 1, 2, .."]


def controller_rules(
    kind: str, owner: Owner | None, wanted: int, *, ordered: bool
) -> tuple[str, ...]:
    """Why gangs of such a controller are not placed yet, by name; none for most."""
    if owner is not None and owner.kind in LATER_KINDS and is_known(owner):
        return (owner.kind,)
    if kind == "StatefulSet" and owner is not None and owner.kind == "Pod":
        return ("LeaderWorkerSet",)  # the workers of a group belong to its leader pod
    return (ORDERED_RULE,) if ordered and wanted > 1 else ()
