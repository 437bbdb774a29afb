"""What pods belong to: a controller, a PodGroup or a gang label, as the roster knows it.

named by a pod, not seen --put--> seen --drop--> gone          (a label is always seen)
           |  GET: no such object
           v
         absent                 until it is seen, its pods wait
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.decode import Controller
from scheduler.model.gang_rules import (
    GROUP_KEY,
    KNOWN_KINDS,
    LABEL_KEY,
    LATER_KINDS,
    controller_rules,
    gives_ranks,
    makes_gang,
)
from scheduler.model.groups import GROUP_API
from scheduler.model.wishes import Wishes
from scheduler.state.gang_view import OwnerRef
from scheduler.state.members import NONE, Said, said_by


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a controller matters to its gang; the rest is not kept."""

    wanted: int
    together: bool
    """Its pods are placed together."""
    ranked: bool
    """Its pods must have ranks of their own."""
    said: Said
    rules: tuple[str, ...]
    """Why its pods are not placed yet, by name."""

    @classmethod
    def of(cls, found: Controller) -> Facts:
        """Of a decoded controller."""
        ordered, wanted = found.ordered, found.wanted
        return cls(
            wanted=wanted,
            together=makes_gang(found),
            ranked=gives_ranks(found),
            said=said_by(found.annotations),
            rules=controller_rules(found.kind, found.owner, wanted, ordered=ordered),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Roll:
    """The members of a gang as they were last called; m of them, lowest rank first."""

    slots: I32
    ranks: I32
    """[m] rising."""
    placed: np.ndarray
    """bool[m] those that had a place: on a node, or assumed."""
    wanted: int
    minimum: int
    wishes: Wishes
    priority: int
    since_us: int
    """When the last of them appeared."""
    problems: tuple[str, ...]
    unsupported: tuple[str, ...]
    profile: int
    """That of the lowest rank."""

    def slot_of(self, rank: int) -> int:
        """Slot of the member that had this rank, or NONE."""
        at = int(np.searchsorted(self.ranks, rank))
        return int(self.slots[at]) if at < len(self.ranks) and self.ranks[at] == rank else NONE


class RosterGang:
    """One thing that pods belong to; most make gangs, the pods of others are placed one by one."""

    __slots__ = (
        "absent", "api_version", "belongs", "complete_us", "enough_us", "facts", "key", "kind",
        "least", "name", "namespace", "number", "object_name", "pods", "roll", "seen", "stale",
        "together", "uid", "was_whole",
    )  # fmt: skip

    def __init__(self, number: int, belongs: str, kind: str, namespace: str, name: str) -> None:
        """belongs: see `gang_rules.belongs_to`."""
        self.number = number
        self.belongs = belongs
        self.key = belongs
        """The gang's key; of a PodGroup its UID once it is seen."""
        self.uid = "" if belongs.startswith((GROUP_KEY, LABEL_KEY)) else belongs
        self.kind = kind
        self.api_version = GROUP_API if kind == "PodGroup" else KNOWN_KINDS.get(kind, "")
        self.namespace = namespace
        self.object_name = name
        self.name = f"{namespace}/{kind}/{name}"
        self.seen = self.is_label
        self.absent = False
        """It is not there: gone, or never was."""
        self.together = True
        """Its pods are taken as one gang; follows `facts` once no bind is under way."""
        self.facts: Facts | None = None
        self.least = 0
        """A PodGroup's minMember."""
        self.pods = 0
        """Pods of ours that belong to it, members or not."""
        self.roll: Roll | None = None
        self.stale = True
        """The roll is not of this moment."""
        self.complete_us: int | None = None
        self.enough_us: int | None = None
        """Since when the minimum is there, while members are missing."""
        self.was_whole = False

    @property
    def is_label(self) -> bool:
        """A gang by label: there is no object."""
        return self.belongs.startswith(LABEL_KEY)

    @property
    def is_group(self) -> bool:
        """A PodGroup."""
        return self.belongs.startswith(GROUP_KEY)

    @property
    def later(self) -> bool:
        """Of a kind whose gangs are not placed yet, and which is not read."""
        return self.kind in LATER_KINDS

    @property
    def wants_together(self) -> bool:
        """Whether its pods should be one gang, by what is known now."""
        return self.facts is None or self.facts.together

    @property
    def rules(self) -> tuple[str, ...]:
        """Why its pods are not placed yet, by name."""
        if self.later:
            return (self.kind,)
        return self.facts.rules if self.facts is not None else ()

    def ref(self) -> OwnerRef:
        """Its object; while that has not been seen, `uid` is what `owner_absent` takes."""
        uid = self.uid or self.belongs
        return OwnerRef(self.api_version, self.kind, self.namespace, self.object_name, uid)

    def gone_problem(self) -> list[str]:
        """Said while it is not there."""
        return [f"its owner {self.kind} {self.object_name} is gone"] if self.absent else []


class RosterGangs:
    """All of them: by number, by what pods call them, by key."""

    def __init__(self) -> None:
        self._numbered: list[RosterGang | None] = []
        self._free: list[int] = []
        self._belongs: dict[str, RosterGang] = {}
        self._keys: dict[str, RosterGang] = {}

    def __iter__(self) -> Iterator[RosterGang]:
        return (gang for gang in self._numbered if gang is not None)

    def __getitem__(self, number: int) -> RosterGang:
        gang = self._numbered[number]
        if gang is None:
            raise KeyError(number)
        return gang

    def called(self, belongs: str) -> RosterGang | None:
        """What pods call so now, or None."""
        return self._belongs.get(belongs)

    def keyed(self, key: str) -> RosterGang | None:
        """The gang with this key, or None."""
        return self._keys.get(key)

    def add(self, belongs: str, kind: str, namespace: str, name: str) -> RosterGang:
        """Something new that pods call `belongs`; what was called so before keeps its pods."""
        number = self._free.pop() if self._free else len(self._numbered)
        gang = RosterGang(number, belongs, kind, namespace, name)
        if number == len(self._numbered):
            self._numbered.append(gang)
        else:
            self._numbered[number] = gang
        self._belongs[belongs] = gang
        self._keys.setdefault(gang.key, gang)
        return gang

    def recall(self, gang: RosterGang) -> None:
        """From now on it is this one that pods call so."""
        self._belongs[gang.belongs] = gang

    def rename(self, gang: RosterGang, key: str) -> None:
        """Its key is known only now."""
        if self._keys.get(gang.key) is gang:
            del self._keys[gang.key]
        gang.key = gang.uid = key
        self._keys[key] = gang

    def end(self, gang: RosterGang) -> None:
        """Nothing belongs to it and it is not there: its number is used again."""
        self._numbered[gang.number] = None
        self._free.append(gang.number)
        if self._belongs.get(gang.belongs) is gang:
            del self._belongs[gang.belongs]
        if self._keys.get(gang.key) is gang:
            del self._keys[gang.key]
