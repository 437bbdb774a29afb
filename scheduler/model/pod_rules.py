"""Rules between pods as a plan reads them: which marks count where, and what that forbids.

A mark is a text that names a set of pods, counted per node: `seen:...` = pods that a selector
matches, `kept:...` = pods that carry a required anti-affinity term. What a mark means is worked
out once, outside (`audience.py`); whoever plans only adds up counts per domain of a node label.
Sources: plugins/podtopologyspread and plugins/interpodaffinity (1.36).
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.arrays import I32, I64


@dataclass(frozen=True, eq=False, slots=True)
class MarkColumn:
    """How many pods of one mark are on each row. Columns of equal length, read-only."""

    rows: I32
    """Rising; rows that have none are left out."""
    counts: I64
    """> 0."""


@dataclass(frozen=True, slots=True, order=True)
class Spread:
    """One topologySpreadConstraint with DoNotSchedule."""

    key: str
    max_skew: int
    min_domains: int
    mark: str
    """Pods that count: of the pod's namespace, matching, not being deleted. Empty = nobody."""
    own: bool
    """Whether the pod itself is one of those that the selector matches."""
    honor_affinity: bool = True
    """nodeAffinityPolicy: only nodes that the pod's selector and required affinity admit count."""
    honor_taints: bool = False
    """nodeTaintsPolicy: nodes with a taint that the pod does not tolerate do not count."""


@dataclass(frozen=True, slots=True, order=True)
class Near:
    """All required affinity terms of a pod together."""

    keys: tuple[str, ...]
    """Topology key of each term, in their order."""
    mark: str
    """Pods that match ALL terms."""
    own: bool
    """Whether the pod itself does: the first of its kind may go anywhere with all keys."""


@dataclass(frozen=True, slots=True, order=True)
class Apart:
    """In a domain of `key` where a pod of `mark` is, the pod may not be; a node without the key
    passes.
    """

    key: str
    mark: str


@dataclass(frozen=True, slots=True)
class PodRules:
    """What a shape asks of other pods, what others ask of it, and what it leaves on its node."""

    spread: tuple[Spread, ...] = ()
    """As declared: the first that fails gives the reason."""
    near: Near | None = None
    apart: tuple[Apart, ...] = ()
    """Its own required anti-affinity terms (mark: pods that the term matches)."""
    repelled: tuple[Apart, ...] = ()
    """Terms of others that match it (mark: pods that carry the term). Sorted."""
    leaves: tuple[str, ...] = ()
    """Marks that count one more where a pod of this shape is placed: selectors of waiting pods
    that match it, its own terms, terms of its kind. Sorted."""

    @property
    def free(self) -> bool:
        """True if nothing restricts it; it may still leave marks."""
        return not (self.spread or self.near or self.apart or self.repelled)

    @property
    def asks(self) -> tuple[str, ...]:
        """Marks that the pod's own rules read, repeats possible."""
        marks = [each.mark for each in self.spread if each.mark]
        marks += [each.mark for each in self.apart]
        return (*marks, self.near.mark) if self.near is not None else tuple(marks)


NO_RULES = PodRules()
