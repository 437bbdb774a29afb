"""NodeResourcesFit, for one node: the definition that the capacity kernel computes by columns.

Source: plugins/noderesources/fit.go (1.36). A resource that is not asked for is never looked
at, so an overcommitted node still takes a pod that asks for none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.model.resources import ResourceOrder


def short_of(free: Sequence[int], request: Sequence[int]) -> list[int]:
    """Columns in which `request` exceeds `free` (allocatable - requested, may be negative)."""
    return [r for r, (have, ask) in enumerate(zip(free, request, strict=True)) if 0 < ask > have]


def fits(free: Sequence[int], request: Sequence[int]) -> bool:
    """Whether one more pod of `request` fits into `free`, pod slots aside."""
    return not short_of(free, request)


def reason(resource: str) -> str:
    """kube-scheduler's words for a resource that runs out."""
    return f"Insufficient {resource}"


def reasons(free: Sequence[int], request: Sequence[int], order: ResourceOrder) -> list[str]:
    """All reasons of one node, in resource order; empty if it fits."""
    return [reason(order.names[r]) for r in short_of(free, request)]


def hopeless(allocatable: Sequence[int], free: Sequence[int], request: Sequence[int]) -> bool:
    """Whether the node is too small as such: it runs out of a resource of which it never had
    enough, so that making room would not help.
    """
    return any(request[r] > allocatable[r] for r in short_of(free, request))
