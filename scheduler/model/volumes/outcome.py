"""What a filter of kube-scheduler answers: a code and its reasons, per pod or per node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scheduler.model.arrays import I16

RESTRICTIONS = "VolumeRestrictions"
LIMITS = "NodeVolumeLimits"
BINDING = "VolumeBinding"
ZONE = "VolumeZone"


class Code(StrEnum):
    """Codes of a framework.Status that is no success."""

    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer: several reasons are told together, each counted for itself."""

    code: Code
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A PreFilter plugin refuses the pod, whatever the node."""

    plugin: str
    code: Code
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Verdict:
    """One Filter plugin over many rows."""

    plugin: str
    outcomes: tuple[Outcome | None, ...]
    """By code; outcomes[0] is None: the node passes."""
    codes: I16
    """int16 per asked row: index into `outcomes`."""


class Outcomes:
    """The answers of one plugin, numbered as they come; 0 is "passes"."""

    __slots__ = ("_numbers", "known", "plugin")

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.known: list[Outcome | None] = [None]
        self._numbers: dict[Outcome, int] = {}

    def number(self, code: Code, *reasons: str) -> int:
        """The number of this answer, given now if it is new."""
        outcome = Outcome(code, reasons)
        found = self._numbers.get(outcome)
        if found is None:
            found = self._numbers[outcome] = len(self.known)
            self.known.append(outcome)
        return found

    def error(self, what: str) -> int:
        """The number of an error, worded as the framework words what a Filter returns."""
        return self.number(Code.ERROR, f'running "{self.plugin}" filter plugin: {what}')

    def verdict(self, codes: I16) -> Verdict:
        """`codes` with what they mean."""
        return Verdict(self.plugin, tuple(self.known), codes)


def prefilter_error(plugin: str, what: str) -> Refusal:
    """An error, worded as the framework words what a PreFilter returns."""
    return Refusal(plugin, Code.ERROR, f'running PreFilter plugin "{plugin}": {what}')


def not_found(kind: str, name: str) -> str:
    """How Kubernetes says that an object does not exist."""
    return f'{kind} "{name}" not found'
