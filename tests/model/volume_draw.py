"""Small random clusters with volumes, as values; same seed, same cluster."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from scheduler.model.constraints import Requirement, Term
from scheduler.model.volumes.in_tree import (
    AZURE_DISK,
    BETA_ZONE,
    CSI_NAMES,
    EBS,
    REGION,
    ZONE,
    InTree,
)
from scheduler.model.volumes.values import (
    NO_PROVISIONER,
    ONE_POD,
    WAIT,
    Attachment,
    Claim,
    Driver,
    LabelRule,
    Mount,
    NodeDrivers,
    PodVolumes,
    Reference,
    Space,
    StorageClass,
    Stored,
    Via,
    Volume,
)

T = TypeVar("T")

NODES = ("n0", "n1", "n2", "n3")
CLAIMS = ("a", "b", "c", "p-v")
VOLUMES = ("pv0", "pv1", "pv2", "pv3", "pv4")
DRIVERS = ("d", CSI_NAMES[EBS], CSI_NAMES[AZURE_DISK])
DISKS = ("disk:ebs/v", "disk:gce-pd/d", "disk:gce-pd:ro/d")
MODES = ((), ("ReadWriteOnce",), ("ReadWriteOnce", ONE_POD))
BAD_RULE = LabelRule((), '"Near" is not a valid label selector operator')
BAD_DISK = InTree(AZURE_DISK, "", "kind(Dedicated) is not supported in csi migration")
UNIT = 10**9


class Draw:
    """Small random clusters in which most claims exist and most rules are met somewhere."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)

    def often(self, usual: T, *rare: T) -> T:
        """`usual` in two cases of three."""
        return usual if self.rng.random() < 0.67 else self.rng.choice(rare)

    def terms(self) -> tuple[Term, ...] | None:
        """Node affinity over the label `zone`, sometimes one that cannot be read."""
        operator = self.often("In", "NotIn", "Exists", "DoesNotExist")
        values = self.often((self.rng.choice(("z1", "z2")),), ("z1", "z2"), ())
        term = Term((Requirement(self.often("zone", "gen", "bad key"), operator, values),))
        return self.often(None, (term,), (term,), (), (Term(), term))

    def rule(self) -> LabelRule:
        """A label selector."""
        wanted = Requirement("zone", self.often("In", "NotIn"), (self.rng.choice(("z1", "z2")),))
        return self.often(LabelRule((wanted,)), LabelRule(), BAD_RULE)

    def labels(self) -> dict[str, str]:
        """Labels of a node or a volume."""
        keys = [key for key in ("zone", ZONE, BETA_ZONE, REGION) if self.rng.random() < 0.4]
        return {key: self.rng.choice(("z1", "z2", "z1__z2", "z1__")) for key in keys}

    def claim(self, name: str) -> Claim:
        """A claim, bound in most cases."""
        volume = self.rng.choice(("", "", *VOLUMES[:4]))
        return Claim(
            "ns",
            name,
            self.rng.choice(("u1", "u2")),
            volume,
            bound=volume != "" and self.rng.random() < 0.95,
            storage_class=self.often("wait", "make"),
            access_modes=self.rng.choice(MODES),
            size=self.often(UNIT, 2 * UNIT, 3 * UNIT, None),
            attributes=self.often("", "gold"),
            selector=self.often(None, self.rule()),
            lost=self.rng.random() < 0.02,
            deleting=self.rng.random() < 0.02,
            selected_node=self.often(None, None, None, "n0", "n1"),
            controller=self.often("u-p", "u-p", "u-q", None),
        )

    def volume(self, name: str) -> Volume:
        """A volume, free in most cases."""
        ref = Reference("ns", self.rng.choice(CLAIMS), self.rng.choice(("", "u1")))
        csi = (self.rng.choice(DRIVERS), self.rng.choice(("h1", "h2", "h3", "h4")))
        return Volume(
            name,
            self.labels(),
            self.terms(),
            storage_class=self.often("wait", "make"),
            access_modes=self.rng.choice(MODES[1:]),
            size=self.rng.choice((UNIT, 2 * UNIT, 3 * UNIT)),
            attributes=self.often("", "gold"),
            claim=self.often(None, ref),
            available=self.rng.random() < 0.8,
            deleting=self.rng.random() < 0.05,
            csi=self.often(csi, None),
            in_tree=self.often(None, InTree(EBS, "h1"), BAD_DISK),
            migrated_reach=self.terms(),
        )

    def values(self) -> list[Stored]:
        """All that the cluster knows of storage."""
        found: list[Stored] = [self.claim(name) for name in CLAIMS if self.rng.random() < 0.95]
        found += [self.volume(name) for name in VOLUMES if self.rng.random() < 0.9]
        found += [
            StorageClass(
                name,
                self.often(made_by, NO_PROVISIONER, "", EBS),
                self.often(WAIT, WAIT, "Immediate", None),
                self.terms(),
            )
            for name, made_by in (("wait", NO_PROVISIONER), ("make", "d"))
        ]
        for node in NODES:
            if self.rng.random() < 0.7:
                limits = {d: self.rng.randrange(3) for d in DRIVERS if self.rng.random() < 0.6}
                moved = frozenset({EBS, AZURE_DISK}) if self.rng.random() < 0.5 else frozenset()
                found.append(NodeDrivers(node, limits, moved))
        found += [Driver(name, self.rng.random() < 0.7) for name in DRIVERS]
        for key in ("k/a", "k/b"):
            largest = self.often(self.rng.randrange(1, 4), None)
            nodes = self.often(self.rule(), None)
            found.append(Space(key, self.rng.choice(("wait", "make")), largest, nodes))
        for name in ("va0", "va1", "va2"):
            volume = self.often(self.rng.choice(VOLUMES), None)
            driver = self.often(self.rng.choice(DRIVERS), "")
            found.append(Attachment(name, self.rng.choice(NODES), driver, volume))
        return found

    def mounts(self) -> tuple[Mount, ...]:
        """What a pod mounts."""
        return tuple(
            self.often(
                Mount(Via.CLAIM, "v", self.rng.choice(CLAIMS[:3])),
                Mount(Via.EPHEMERAL, "v", "p-v"),
                Mount(Via.INLINE, "v", in_tree=self.often(InTree(EBS, "h2"), BAD_DISK)),
            )
            for _ in range(self.rng.randrange(1, 4))
        )

    def pod(self, uid: str) -> PodVolumes:
        """A pod called `p`, whoever it is."""
        disks = sorted(self.rng.sample(DISKS, self.often(0, 1, 2)))
        return PodVolumes("ns", "p", uid, self.mounts(), tuple(disks))
