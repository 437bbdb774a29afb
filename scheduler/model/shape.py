"""A shape: pods that every filter and every request treats alike, apart from their pins."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.constraints import Term, Toleration


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pod asks of a node, as one hashable value.

    requests: int64 amounts in the process's `ResourceOrder`, all >= 0.
    selector: `nodeSelector`, sorted pairs.
    affinity: required node affinity, terms ORed; None = none asked, () = matches nothing.
    tolerations: as the pod carries them, sorted.
    tokens: names of what one node can give to one pod only: host ports (`port:TCP/8080`) and
        pods' required anti-affinity to their own kind on nodes (`apart:NAMESPACE/SELECTOR`).
        Two of them may clash without being equal: see `filters/tokens.py`. A shape with a
        token fits a node at most once.
    """

    requests: tuple[int, ...]
    selector: tuple[tuple[str, str], ...] = ()
    affinity: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    tokens: tuple[str, ...] = ()

    @property
    def exclusive(self) -> bool:
        """True if a node holds at most one member of this shape."""
        return bool(self.tokens)
