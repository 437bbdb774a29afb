"""A shape: pods that every filter and every request treats alike, apart from their pins."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.constraints import Term, Toleration
from scheduler.model.pod_rules import NO_RULES, PodRules
from scheduler.model.tokens import excludes_itself


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pod asks of a node, as one hashable value.

    requests: int64 amounts in the process's `ResourceOrder`, all >= 0.
    selector: `nodeSelector`, sorted pairs.
    affinity: required node affinity, terms ORed; None = none asked, () = matches nothing.
    tolerations: as the pod carries them, sorted.
    tokens: names of what one node can give to one pod only: host ports (`port:TCP/8080`),
        inline disks (`disk:ebs/vol-1`). Two of them may clash without being equal, and a disk
        that is only read does not clash with itself: see `scheduler/model/tokens.py`.
    """

    requests: tuple[int, ...]
    selector: tuple[tuple[str, str], ...] = ()
    affinity: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    tokens: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    """Declared features that the node must have, sorted (NodeDeclaredFeatures)."""
    preferred: tuple[tuple[int, Term], ...] = ()
    """(weight, term) of preferred node affinity, sorted; orders nodes and refuses none."""
    rules: PodRules = NO_RULES

    @property
    def exclusive(self) -> bool:
        """True if a node holds at most one member of this shape: some tokens clash."""
        return excludes_itself(self.tokens)
