"""Domains reserved for gangs that waited too long. Given claims are kept until their deadline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import frozen
from scheduler.model.snapshot import Claims
from scheduler.model.topology import CLUSTER, Topology

DomainPath = tuple[tuple[int, str], ...]
"""(level number, label value) from the topmost labelled level down; () is the cluster."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One reserved domain. Gangs that are not of higher priority may not enter it."""

    path: DomainPath
    owner: str
    priority: int
    deadline_us: int
    profile: int = 0
    """Whose tree the path is of; gangs of other profiles are not kept out."""


def domain_path(topology: Topology, domain: int) -> DomainPath:
    """The path of a domain, which stays its name when domains are numbered anew."""
    path: list[tuple[int, str]] = []
    while domain > CLUSTER:
        path.append((int(topology.level[domain]), topology.names[domain]))
        domain = int(topology.parent[domain])
    return tuple(reversed(path))


def find_domain(topology: Topology, path: DomainPath) -> int:
    """The number of the domain at `path`, or -1 if the tree has none."""
    domain = CLUSTER
    for part in path:
        children = range(topology.first_child[domain], topology.first_child[domain + 1])
        found = [c for c in children if (int(topology.level[c]), topology.names[c]) == part]
        if not found:
            return -1
        domain = found[0]
    return domain


class ClaimBook:
    """Claims by owner and path. `epoch` counts changes, which may open a domain to others."""

    def __init__(self) -> None:
        self.epoch = 0
        self._claims: dict[tuple[str, DomainPath], Claim] = {}
        self._published: dict[int, tuple[Topology, Claims]] = {}
        """By profile, with the topology that it is true for."""

    def __len__(self) -> int:
        return len(self._claims)

    def all(self) -> list[Claim]:
        """Every claim, by owner and path."""
        return [self._claims[key] for key in sorted(self._claims)]

    def make(self, claim: Claim) -> None:
        """Adds a claim, or replaces the owner's claim of the same domain."""
        self._claims[claim.owner, claim.path] = claim
        self._touch()

    def drop(self, owner: str) -> bool:
        """Gives up every claim of one gang; False if it has none."""
        mine = [key for key in self._claims if key[0] == owner]
        for key in mine:
            del self._claims[key]
        if mine:
            self._touch()
        return bool(mine)

    def expire(self, now_us: int) -> None:
        """Gives up claims whose deadline is at or before `now_us`."""
        late = [key for key, claim in self._claims.items() if claim.deadline_us <= now_us]
        for key in late:
            del self._claims[key]
        if late:
            self._touch()

    def _touch(self) -> None:
        self.epoch += 1
        self._published.clear()

    def published(self, topology: Topology, profile: int = 0) -> Claims:
        """Claims of domains of a profile's tree that exist, by (owner, path).

        The same object while unchanged.
        """
        known = self._published.get(profile)
        if known is not None and known[0] is topology:
            return known[1]
        mine = [claim for claim in self.all() if claim.profile == profile]
        found = [(find_domain(topology, claim.path), claim) for claim in mine]
        found = [(domain, claim) for domain, claim in found if domain >= 0]
        claims = Claims(
            frozen(np.array([domain for domain, _ in found], np.int32)),
            tuple(claim.owner for _, claim in found),
            frozen(np.array([claim.priority for _, claim in found], np.int32)),
        )
        self._published[profile] = (topology, claims)
        return claims
