"""What is read of a cluster's dump."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.model.decode import Claim, Controller, Disk, Node, ObjectError, Pod
from scheduler.model.objects import Metadata


@dataclass(slots=True)
class Dump:
    """Decoded objects of a dump, and what could not be read of it."""

    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    controllers: list[Controller] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    namespaces: list[Metadata] = field(default_factory=list)
    problems: list[ObjectError] = field(default_factory=list)


def seat_of(pod: Pod) -> str:
    """Node that a pod counts on: its own, or the only one a waiting pod may use."""
    if pod.node or pod.pins is None or len(pod.pins) != 1:
        return pod.node
    return pod.pins[0]
