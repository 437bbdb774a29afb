"""The book of volumes: what volumes mean for pods that wait, kept in step with every change."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.volumes.pins import rows_of
from scheduler.model.volumes.reach import Reach
from scheduler.model.volumes.restrictions import DISK_CONFLICT
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import (
    Attachment,
    Claim,
    NodeDrivers,
    PodVolumes,
    Stored,
    Volume,
)
from scheduler.model.volumes.verdicts import VolumeFilters
from scheduler.state.cache import Cache
from scheduler.state.nodes import NodeSpec
from scheduler.state.volume_reading import NOTHING, TO_BIND, VolumeReading
from scheduler.state.volume_room import MOST, VolumeRoom
from scheduler.state.volumes import VolumeBook
from tests.model.volume_draw import NODES, VOLUMES, Draw
from tests.model.volume_world import (
    claim,
    cluster,
    csi_node,
    near,
    pod,
    storage_of,
    volume,
    waiting_class,
)

ONCE: dict[str, Any] = {"accessModes": ["ReadWriteOncePod"]}
IN_USE = (
    "refused by VolumeRestrictions: node(s) unavailable due to PersistentVolumeClaim with "
    "ReadWriteOncePod access mode already in-use by another pod"
)


def book_of(*values: Stored) -> VolumeBook:
    """A book that knows these objects, each called by its place."""
    book = VolumeBook()
    for i, each in enumerate(values):
        book.put(f"o{i}", each)
    return book


def named(name: str) -> PodVolumes:
    """A pod with the claim `x`."""
    return pod("x", name=name, uid=f"u-{name}")


def csi(name: str, handle: str) -> Stored:
    """A volume of the driver `d`."""
    return volume(name, csi={"driver": "d", "volumeHandle": handle})


def test_a_pod_with_claims_in_order_is_pinned_and_takes_room() -> None:
    """Pins come from its volumes, needs from drivers that some node limits."""
    zone = volume("pv", nodeAffinity=near("zone", "z1"), csi={"driver": "d", "volumeHandle": "h"})
    book = book_of(claim("x", "pv"), zone)
    found = book.waits("u-p", pod("x"))
    assert (found.blocked, found.unsupported, found.needs) == ("", "", ())
    assert found.pin is not None
    snap = cluster({"a": {"zone": "z1"}, "b": {"zone": "z2"}, "c": {}})
    assert rows_of(found.pin, snap, Reach(snap)).tolist() == [0]
    book.put("n", csi_node("b", {"d": 3}))
    assert book.changed() == ["u-p"]
    assert book.waits("u-p", pod("x")).needs == (("volumes of d", 1),)
    assert book.changed() == []


def test_a_pod_that_nothing_is_asked_of_has_no_pin() -> None:
    """Pods without claims that matter share the empty reading."""
    assert book_of(claim("x", "pv"), volume("pv")).waits("u", pod("x")) == NOTHING


@pytest.mark.parametrize(
    ("values", "blocked"),
    [
        ([], 'refused by VolumeRestrictions: persistentvolumeclaim "x" not found'),
        (
            [claim("x")],
            "refused by VolumeBinding: pod has unbound immediate PersistentVolumeClaims",
        ),
        ([claim("x", "pv")], 'refused by VolumeZone: persistentvolume "pv" not found'),
    ],
)
def test_a_pod_whose_claims_are_not_in_order_is_blocked(values: list[Stored], blocked: str) -> None:
    """In kube-scheduler's words; it is looked at again when the claim or the volume changes."""
    book = book_of(*values)
    assert book.waits("u-p", pod("x")) == VolumeReading(blocked=blocked)
    book.put("c", claim("x", "pv"))
    book.put("v", volume("pv"))
    assert book.changed() == ["u-p"]
    assert book.waits("u-p", pod("x")) == NOTHING


def test_a_claim_that_waits_for_its_pod_is_not_supported() -> None:
    """Such a pod is never placed before its claims are bound."""
    book = book_of(claim("x", storageClassName="wait"), waiting_class(provisioner="d"))
    assert book.waits("u-p", pod("x")) == VolumeReading(unsupported=TO_BIND)
    book.put("o0", claim("x", "pv"))
    book.put("v", volume("pv"))
    assert book.reading("u-p") == NOTHING


def test_a_claim_for_one_pod_is_promised_to_the_first_that_waits() -> None:
    """The others are blocked until it is gone for good; who is on a node comes before all."""
    book = book_of(claim("x", "pv", **ONCE), volume("pv"))
    first, second = named("a"), named("b")
    assert book.waits("u-a", first) == NOTHING
    assert book.waits("u-b", second).blocked == IN_USE
    book.place("u-a", "n1", first)
    assert book.waits("u-b", second).blocked == IN_USE
    book.changed()
    book.leave("u-a")
    assert book.changed() == ["u-b"]
    assert book.waits("u-b", second) == NOTHING
    book.place("u-c", "n1", named("c"))
    assert book.changed() == ["u-b"]
    assert book.reading("u-b").blocked == IN_USE


def test_room_counts_each_volume_of_a_node_once() -> None:
    """Shared volumes once, attachments that no pod uses too, other drivers never."""
    book = book_of(
        claim("x", "pv-x"), csi("pv-x", "h-x"), claim("y", "pv-y"), csi("pv-y", "h-y"),
        csi_node("n1", {"d": 5}), csi_node("n2", {"e": 1}),
    )  # fmt: skip
    assert book.rooms() == {"n1": {"volumes of d": 5}, "n2": {"volumes of e": 1}}
    book.place("u-a", "n1", named("a"))
    book.place("u-b", "n1", named("b"))
    assert book.rooms() == {"n1": {"volumes of d": 4}}
    book.place("u-c", "n1", pod("x", "y", name="c", uid="u-c"))
    book.leave("u-a")
    assert book.rooms() == {"n1": {"volumes of d": 3}}
    book.put("o2", claim("y"))  # its volume is not known any more, nor is its driver
    assert book.rooms() == {"n1": {"volumes of d": 4}}
    book.gone("o4")
    assert book.rooms() == {"n1": {}}


def test_an_object_that_was_made_anew_outlives_the_end_of_the_old_one() -> None:
    """The end of the first claim `x` says nothing about the second."""
    book = book_of(volume("pv"))
    book.put("first", claim("x", "pv"))
    book.put("second", claim("x", "pv", size="2Gi"))
    book.gone("first")
    assert book.waits("u", pod("x")) == NOTHING
    book.gone("second")
    assert book.reading("u").blocked.endswith('"x" not found')


class Room:
    """Two nodes of which n1 attaches two volumes of `d`, with the book and the cache of them."""

    def __init__(self) -> None:
        self.cache = Cache(ResourceOrder.of(["cpu", "memory", GPU]), ())
        for name in ("n1", "n2"):
            self.cache.upsert_node(NodeSpec(name, (64, 64, 8)))
        self.book = book_of(claim("x", "pv"), csi("pv", "h"), csi_node("n1", {"d": 2}))
        self.room = VolumeRoom(self.cache, self.book)
        self.cache.widen(["volumes of d"])

    def free(self) -> list[int]:
        """Free volumes of `d` on n1 and n2."""
        self.room.refresh()
        snap = self.cache.freeze(0)
        row: list[int] = snap.free[snap.resources.index("volumes of d")].tolist()
        return row


def test_volumes_that_are_gone_leave_nothing_behind() -> None:
    """Names of volumes are new for every pod, over months."""
    book = VolumeBook()
    for i in range(3):
        book.put(f"v{i}", csi(f"pv-{i}", f"h-{i}"))
        book.put(f"c{i}", claim("x", f"pv-{i}"))
        book.put(f"a{i}", Attachment(f"att-{i}", "a", "d", f"pv-{i}"))
        book.waits(f"u{i}", pod("x", uid=f"u{i}"))
        book.place(f"u{i}", "a", pod("x", uid=f"u{i}"))
        book.leave(f"u{i}")
        for kind in "acv":
            book.gone(f"{kind}{i}")
        book.rooms()
    indices = (book._known, book._uid_of, book._pods, book._users, book._claims_of,
               book._attached_at, book._at)  # fmt: skip
    assert not any(indices)


def test_room_for_volumes_is_a_resource_of_nodes() -> None:
    """What a pod needs is taken by its shape; the book gives back what it counts itself."""
    world = Room()
    assert world.free() == [2, MOST]
    vector = world.cache.shapes.resources.vector({"cpu": 1, "volumes of d": 1})

    shape = world.cache.shape(Shape(vector))
    world.book.waits("u-a", named("a"))
    world.cache.upsert_pod("u-a", "n1", shape)  # assumed: the book has not heard of it
    assert world.free() == [1, MOST]
    assert world.book.place("u-a", "n1", named("a")) == (("volumes of d", 1),)
    assert world.free() == [1, MOST]
    world.book.place("u-b", "n1", named("b"))  # another scheduler's: no room in its shape
    assert world.free() == [1, MOST]
    world.cache.upsert_node(NodeSpec("n1", (32, 64, 8, 0)))  # says nothing of volumes
    assert world.free() == [1, MOST]
    world.cache.remove_pod("u-a")
    world.book.leave("u-a")
    assert world.free() == [1, MOST]
    world.book.leave("u-b")
    assert world.free() == [2, MOST]


def test_a_node_that_comes_later_has_its_limit() -> None:
    """The CSINode may be seen before its node."""
    world = Room()
    world.free()
    world.book.put("late", csi_node("n3", {"d": 1}))
    assert world.free() == [2, MOST]
    world.cache.upsert_node(NodeSpec("n3", (64, 64, 8, 0)))
    assert world.free() == [2, MOST, 1]


def uid_of(value: Stored) -> str:
    """One for each object."""
    names = (getattr(value, field, "") for field in ("namespace", "key", "node", "name"))
    return "/".join((type(value).__name__, *names))


@pytest.mark.parametrize("seed", range(60))
def test_a_book_that_saw_changes_equals_one_that_saw_the_end(seed: int) -> None:
    """Readings, room and who is to be looked at again follow from what is, not how it came."""
    draw, rng = Draw(seed), Random(seed)
    book = VolumeBook()
    said: dict[str, VolumeReading] = {}
    room: dict[str, dict[str, int]] = {}
    pods = {f"u{i}": draw.pod(f"u{i}") for i in range(6)}
    objects: dict[str, Stored] = {}
    seats: dict[str, str] = {}
    for _ in range(60):
        match rng.randrange(4):
            case 0 | 1:
                value = rng.choice(draw.values())
                objects[uid_of(value)] = value
                book.put(uid_of(value), value)
            case 2 if objects:
                gone = rng.choice(sorted(objects))
                del objects[gone]
                book.gone(gone)
            case _:
                uid = rng.choice(sorted(pods))
                if uid not in seats:
                    seats[uid] = ""
                    said[uid] = book.waits(uid, pods[uid])
                elif not seats[uid]:
                    seats[uid] = rng.choice(NODES)
                    book.place(uid, seats[uid], pods[uid])
                    said.pop(uid)
                else:
                    book.leave(uid)
                    del seats[uid]
        for uid in book.changed():
            said[uid] = book.waits(uid, pods[uid])
        room |= book.rooms()
    fresh = VolumeBook()
    for uid, value in objects.items():
        fresh.put(uid, value)
    for uid in book._pods:
        fresh.waits(uid, pods[uid])
        fresh._pods[uid].needs = book._pods[uid].needs
        if seats[uid]:
            fresh.place(uid, seats[uid], pods[uid])
    assert said == {uid: fresh.reading(uid) for uid in said}
    wanted = {node: amounts for node, amounts in fresh.rooms().items() if amounts}
    assert {node: amounts for node, amounts in room.items() if amounts} == wanted


def whole(value: Stored, draw: Draw) -> Stored:
    """Mostly bound claims and volumes in order, so that many pods may be placed."""
    if isinstance(value, Claim) and draw.rng.random() < 0.8:
        fields = {name: getattr(value, name) for name in Claim.__slots__}
        name = draw.rng.choice(VOLUMES)
        fields |= {"volume": name, "bound": True, "lost": False, "deleting": False}
        return Claim(**fields)
    return value


class World:
    """A random cluster in which pods are placed one by one as their readings allow."""

    def __init__(self, seed: int) -> None:
        self.draw = Draw(seed)
        values = [whole(value, self.draw) for value in self.draw.values()]
        self.book = book_of(*values)
        self.storage = storage_of(values)
        self.snap = cluster({name: self.draw.labels() for name in NODES})
        self.on: list[tuple[int, PodVolumes]] = []
        self.room: dict[str, dict[str, int]] = {}
        self.taken: Counter[tuple[int, str]] = Counter()
        self.full = 0
        """Rows that only room for volumes has excluded so far."""

    def rows(self, found: VolumeReading) -> list[int]:
        """Rows that the planner may choose for a pod with this reading."""
        if found.blocked or found.unsupported:
            return []
        rows = list(range(len(NODES)))
        if found.pin is not None:
            rows = rows_of(found.pin, self.snap, Reach(self.snap)).tolist()
        fit = [row for row in rows if all(self._has(row, *need) for need in found.needs)]
        self.full += len(rows) - len(fit)
        return fit

    def _has(self, row: int, resource: str, amount: int) -> bool:
        offered = self.room.get(NODES[row], {}).get(resource, MOST)
        return offered - self.taken[row, resource] >= amount

    def step(self, uid: str) -> bool:
        """One pod more; whether it was placed. Fails if a plugin refuses where it may go."""
        waiting = self.draw.pod(uid)
        found = self.book.waits(uid, waiting)
        self.room |= self.book.rooms()
        filters = VolumeFilters(self.storage, Users(NODES, self.on, self.storage), self.snap)
        answer = filters.verdicts(waiting)
        rows = self.rows(found)
        assert not rows or answer.refused is None
        free = []
        for row in rows:
            outcomes = [each.outcomes[each.codes[row]] for each in answer.verdicts]
            refused = [each.reasons[0] for each in outcomes if each is not None]
            if waiting.disks and refused == [DISK_CONFLICT]:
                continue  # the planner keeps disks apart by their tokens
            assert refused == []
            free.append(row)
        if not free:
            self.book.leave(uid)
            return False
        row = self.draw.rng.choice(free)
        needs = self.book.place(uid, NODES[row], waiting)
        self.taken.update({(row, resource): amount for resource, amount in needs})
        self.on.append((row, waiting))
        return True


@pytest.mark.parametrize("part", range(4))
def test_whoever_is_placed_by_its_reading_passes_the_filters(part: int) -> None:
    """Pods placed one by one where pins, room and disks allow are never refused by a plugin."""
    placed = full = 0
    for seed in range(part * 100, part * 100 + 100):
        world = World(seed)
        placed += sum(world.step(f"u-p{i}") for i in range(8))
        full += world.full
    assert placed > 100
    assert full > 20


def test_values_of_other_kinds_change_nothing() -> None:
    """A CSINode without limits, seen twice, wakes nobody."""
    book = book_of(claim("x", "pv"), volume("pv"))
    book.waits("u-p", pod("x"))
    book.put("n", NodeDrivers("n1"))
    book.put("n", NodeDrivers("n1"))
    book.put("v2", Volume("other"))
    assert book.changed() == []
    assert book.rooms() == {"n1": {}}
