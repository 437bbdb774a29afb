# ruff: noqa: D102  (a rule is named after its event)
"""A snapshot of the running scheduler, planned offline, gives what the scheduler would decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from scheduler.model.arrays import I32
from scheduler.model.availability import lines_of
from scheduler.model.constraints import Taint
from scheduler.model.policy import Policy
from scheduler.model.shape import Shape
from scheduler.model.wishes import Wishes
from scheduler.plan import plan
from scheduler.replay.cluster_file import ClusterFile, ProfileEntry
from scheduler.replay.cluster_text import cluster_text
from scheduler.replay.live_snapshot import cluster_file, copied, live_files
from scheduler.replay.plan_once import _gang_row, _members, plan_once
from scheduler.replay.snapshot_dir import pending_of, policy_of, snapshot_of
from scheduler.replay.trace_io import changed_files, read_manifest, read_trace
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.gang_view import GangView, Members, OwnerRef
from scheduler.state.gather import Gatherer
from scheduler.state.lifecycle import GangState
from tests.state.helpers import ONE_GPU, cache_of, gang, i32, run, spec
from tests.state.strategies import SHAPES
from tests.state.test_rules_machine import HIDDEN, rules, whos
from tests.state.test_state_machine import CacheMachine

T = TypeVar("T")


def decided(snapshot: Any, pending: Any, policy: Policy) -> list[dict[str, Any]]:
    """A row per gang in the order of decision, and a row per member of each that fits."""
    found = plan(snapshot, pending, policy, 0)
    lines = lines_of(snapshot, pending, found)
    rows = []
    for g in found.order.tolist():
        row = _gang_row(snapshot, pending, found, g, [], lines[g])
        rows.append({"key": pending.key[g], **row})
        if found.placed[g]:
            rows += _members(snapshot, pending, found, pending.name[g], [], {})
    return rows


def live(cache: Cache, now: int) -> list[dict[str, Any]]:
    """What a cycle over the whole queue would decide, back-offs respected."""
    snapshot = cache.freeze(now)
    gather = Gatherer(cache.queue, cache.book, cache.holds, cache.shapes, cache.frozen)
    worth = np.flatnonzero(cache.queue.table["not_before_us"] <= now)
    pending, _ = gather.pending(worth, snapshot)
    return decided(snapshot, pending, Policy())


def offline(cache: Cache, now: int) -> list[dict[str, Any]]:
    """The same from the bytes of cluster.json."""
    taken = copied(cache, now)
    names = [[""] * int(n) for n in np.diff(taken.pending.offset)]
    text = b"".join(cluster_text(cluster_file(taken, ProfileEntry(), names)))
    file = msgspec.json.decode(text, type=ClusterFile)
    snapshot = snapshot_of(file)
    return decided(snapshot, pending_of(file, snapshot), policy_of(file))


class SnapshotMachine(CacheMachine):
    """Random histories of a cache, and now and then a snapshot of it."""

    @precondition(lambda self: bool(self.waiting))
    @rule(data=st.data())
    def export(self, data: st.DataObject) -> None:
        """Segments and pins are drawn for this moment only: the histories know nothing of them."""
        queue = self.cache.queue
        before = list(queue)
        for entry in before:
            queue.replace(data.draw(wishful(entry)), held=bool(self.cache.holds.of(entry.key)))
        assert live(self.cache, self.now) == offline(self.cache, self.now)
        for entry in before:
            queue.replace(entry, held=bool(self.cache.holds.of(entry.key)))
        self.snap()


@st.composite
def wishful(draw: st.DrawFn, entry: Entry) -> Entry:
    """The entry, perhaps in segments and with pinned members."""
    size = draw(st.integers(0, 3))
    pinned = draw(st.lists(st.sampled_from(entry.rank_column().tolist()), unique=True, max_size=2))
    nodes = st.lists(st.sampled_from(("n1", "n2", "m-2", "gone")), unique=True, max_size=3)
    return replace(
        entry,
        single=entry.count == 1 and draw(st.booleans()),
        segment_size=size,
        segment_level=draw(st.integers(0, 1)) if size else -1,
        pins={rank: tuple(draw(nodes)) for rank in pinned},
    )


TestSnapshotMachine = SnapshotMachine.TestCase
TestSnapshotMachine.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


@st.composite
def full_caches(draw: st.DrawFn) -> Cache:
    """Few nodes, nearly full: each pod, hold and claim decides who still fits where."""
    leaves = draw(st.lists(st.sampled_from(("s1/l1", "s1/l2", "s2/l1", "-/l9")), min_size=6,
                           max_size=6))  # fmt: skip
    cache = cache_of(" | ".join(f"{leaf}: n{i}" for i, leaf in enumerate(leaves)), settle_us=20)
    for known in SHAPES:
        cache.shape(known)
    node, shape = st.integers(0, 5), st.integers(0, len(SHAPES))
    for at in draw(st.lists(node, unique=True, max_size=2)):
        young, cordoned, tainted = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
        path = tuple(None if part == "-" else part for part in leaves[at].split("/"))
        cache.upsert_node(spec(f"n{at}", path, draw(st.integers(1, 4)), created_us=90 * young,
                               cordoned=cordoned, taints=[Taint("gpu")] * tainted, slots=4,
                               labels={"zone": "a"}))  # fmt: skip
    for i, (at, number) in enumerate(draw(st.lists(st.tuples(node, shape), max_size=8))):
        cache.upsert_pod(f"u{i}", f"n{at}", number)
    for key in "abcde":
        ranks = draw(st.lists(st.integers(0, 7), unique=True, min_size=1, max_size=6).map(sorted))
        bound = draw(st.lists(st.sampled_from(ranks), unique=True, max_size=len(ranks) - 1))
        entry = gang(key, len(ranks), draw(st.integers(1, len(ranks))), ranks=i32(*ranks),
                     shape=i32(*draw(st.lists(shape, min_size=len(ranks), max_size=len(ranks))))
                     if draw(st.booleans()) else 0,
                     required=draw(st.integers(-1, 1)), preferred=draw(st.integers(0, 1)),
                     priority=draw(st.integers(0, 1)))  # fmt: skip
        cache.enqueue(draw(wishful(entry)))
        cache.freeze(0)
        for rank in sorted(bound):
            cache.upsert_pod(f"{key}{rank}", f"n{draw(node)}", draw(shape), key, rank)
        lost = draw(st.lists(st.sampled_from(ranks), unique=True, max_size=3))
        free = [rank for rank in lost if rank not in bound]
        cache.hold(key, "team", [f"n{draw(node)}" for _ in free], i32(*[0] * len(free)),
                   i32(*free), 0)  # fmt: skip
    for owner in draw(st.lists(st.sampled_from("abz"), max_size=2)):
        cache.claim(((0, "s1"),), owner, draw(st.integers(0, 1)), 1_000)
    table = cache.queue.table
    table["starved"] = draw(st.lists(st.integers(0, 1), min_size=len(table), max_size=len(table)))
    return cache


@settings(max_examples=200)
@given(cache=full_caches())
def test_what_is_read_back_is_decided_alike(cache: Cache) -> None:
    """Order, verdicts, numbers and every member's node: those of the scheduler itself."""
    assert live(cache, 100) == offline(cache, 100)


@st.composite
def ruled_caches(draw: st.DrawFn) -> Cache:
    """Pods on nodes, holds and gangs whose rules mean each other, in two namespaces."""
    cache = cache_of("s1/l1: n1 n2 | s1/l2: n3 | s2/l1: n4 n5", hidden=HIDDEN)
    for at in range(1, 6):
        path = ("s1" if at < 4 else "s2", f"l{1 + (at == 3)}")
        labels = {"zone": draw(st.sampled_from("ab"))} if draw(st.integers(0, 4)) else {}
        features = tuple(draw(st.sampled_from(((), ("Quick",)))))
        cache.upsert_node(spec(f"n{at}", path, labels=labels, features=features))
    cache.put_namespace("x", {"team": "t"})
    kinds = [
        cache.shape(
            Shape((0, 0, draw(st.integers(0, 2))), rules=draw(rules()),
                  features=("Quick",) * (not draw(st.integers(0, 4)))),
            draw(whos),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]  # fmt: skip
    kind, node = st.sampled_from(kinds), st.integers(1, 5).map(lambda at: f"n{at}")
    for i, (number, name) in enumerate(draw(st.lists(st.tuples(kind, node), max_size=6))):
        cache.upsert_pod(f"u{i}", name, number)
    for key in "abcd":
        size = draw(st.integers(1, 4))
        shapes = draw(st.lists(kind, min_size=size, max_size=size))
        cache.enqueue(
            gang(key, size, draw(st.integers(1, size)), required=draw(st.integers(-1, 1)),
                 shape=i32(*shapes) if draw(st.booleans()) else shapes[0])
        )  # fmt: skip
        if draw(st.booleans()):
            cache.hold(key, "x", [draw(node)], i32(shapes[0]), i32(0), 0)
    return cache


@settings(max_examples=200)
@given(cache=ruled_caches())
def test_rules_between_pods_are_decided_alike(cache: Cache) -> None:
    """Whoever is there, waits or is held: with counts per node the plan is the scheduler's own."""
    assert live(cache, 100) == offline(cache, 100)


class FakeRoster:
    """Names for ranks, and gangs that are not in the queue."""

    def __init__(self, *views: GangView, gone: str = "") -> None:
        self.of = {view.key: view for view in views}
        self.gone = gone

    def keys(self) -> Sequence[str]:
        return list(self.of)

    def view(self, key: str) -> GangView | None:
        return None if key == self.gone else self.of.get(key, view(key))

    def waiting_ranks(self, key: str) -> I32:
        return i32(*range(self.of[key].waiting))

    def members(self, key: str, ranks: I32) -> Members:
        names = [f"{key}-{rank}" for rank in ranks.tolist()]
        return Members("team", names, [f"uid-{name}" for name in names])


def view(key: str, **fields: Any) -> GangView:
    """A StatefulSet of one member."""
    values: dict[str, Any] = {
        "key": key, "name": f"team/StatefulSet/{key}", "namespace": "team",
        "owner": OwnerRef("apps/v1", "StatefulSet", "team", key, key), "state": GangState.PENDING,
        "wanted": 1, "minimum": 1, "waiting": 1, "bound": 0, "single": False, "priority": 0,
        "wishes": Wishes(), "unsupported": (), "problems": (), "since_us": 7, "was_whole": False,
    }  # fmt: skip
    return GangView(**{**values, **fields})


def directly(question: Callable[[], T], /) -> T:
    """No loop: the question is answered at once."""
    return question()


def taken(cache: Cache, out: Path, roster: FakeRoster | None = None, now: int = 100) -> Path:
    """The files of a snapshot in a directory."""
    out.mkdir()
    profile = ProfileEntry(scheduler_name="muster", pack="spine", search_per_gang=9)
    for name, data in live_files(directly, cache, roster or FakeRoster(), lambda: now, profile):
        (out / name).write_bytes(data)
    return out


def busy_cache() -> Cache:
    """Two spines, bound pods of all kinds, a gang that lost members, holds, a claim, arrivals."""
    cache = cache_of("s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l3: n5 n6 | : n7", settle_us=10)
    cache.upsert_node(spec("n8", ("s2", "l3"), taints=[Taint("gpu", "yes")]))
    cache.upsert_node(spec("n6", ("s2", "l3"), cordoned=True, labels={"zone": "b"}))
    cache.upsert_node(spec("young", ("s2", "l3"), created_us=95))
    cache.upsert_pod("foreign", "n1", Shape((1, 1, 2), tokens=("port:TCP/80",)))
    cache.enqueue(gang("old", 4, required=1))
    cache.freeze(0)
    run(cache, "old", i32(2, 2, 3, 3))
    cache.release("old", i32(1))
    cache.enqueue(gang("old", 1, ranks=i32(1), repair=True, required=1))
    cache.enqueue(gang("held", 2, priority=3))
    cache.hold("held", "team", ["n5", "n5"], i32(0, 0), i32(0, 1), 50)
    cache.enqueue(gang("big", 9, ready_us=3, segment_size=3, segment_level=1))
    cache.enqueue(gang("mixed", 2, shape=i32(0, cache.shape(Shape((1, 0, 1)))), ready_us=4,
                       pins={1: ("n3", "gone")}))  # fmt: skip
    cache.enqueue(gang("late", 1, single=True), not_before_us=5_000_000)
    cache.claim(((0, "s2"), (1, "l3")), "nobody", 1, 1_000)
    return cache


def test_planned_offline_it_gives_the_scheduler_s_own_rows(tmp_path: Path) -> None:
    """Bound and foreign pods, pins, segments, homes, holds, claims, back-off: the same answers."""
    cache = busy_cache()
    want = [row for row in live(cache, 100) if "verdict" in row]
    rows = plan_once(taken(cache, tmp_path / "snap"), None)
    assert [{k: v for k, v in row.items() if k != "key"} for row in want] == rows[: len(want)]
    assert {row["verdict"] for row in want} == {"fits", "does not fit"}
    assert [(row["gang"], row["verdict"]) for row in rows[len(want) :]] == [("late", "left out")]
    assert rows[-1]["why"] == "backs off until 1970-01-01 00:00:05Z"


def test_the_directory_is_a_trace_with_a_true_manifest(tmp_path: Path) -> None:
    """All hashes hold, replay can read it, the profile and the moment are in it."""
    out = taken(busy_cache(), tmp_path / "snap")
    assert changed_files(out, read_manifest(out)) == []
    trace = read_trace(out)
    assert trace.levels == ("spine", "leaf")
    assert sorted(trace.gangs.keys) == ["big", "held", "mixed", "old"]
    file = msgspec.json.decode((out / "cluster.json").read_bytes(), type=ClusterFile)
    assert (file.taken_us, file.profile.scheduler_name) == (100, "muster")
    assert (policy_of(file).pack, policy_of(file).budget) == ("spine", 9)
    assert [(hold.owner, hold.rank, hold.node) for hold in file.holds] == [
        ("held", 0, "n5"), ("held", 1, "n5"),
    ]  # fmt: skip
    assert [claim.path for claim in file.claims] == [[("spine", "s2"), ("leaf", "l3")]]
    nodes = {node.name: node for node in file.nodes}
    assert (nodes["n6"].cordoned, nodes["young"].settling, nodes["n1"].settling) == (
        True, True, False,
    )  # fmt: skip
    assert nodes["n1"].tokens == ["port:TCP/80"]
    assert nodes["n1"].used == {"cpu": 1, "memory": 1, "nvidia.com/gpu": 2}


def test_members_have_their_pods_names(tmp_path: Path) -> None:
    """Names come from the roster; a gang that has gone since the copy has none."""
    roster = FakeRoster(gone="big")
    file = msgspec.json.decode(
        (taken(busy_cache(), tmp_path / "snap", roster) / "cluster.json").read_bytes(),
        type=ClusterFile,
    )
    pods = {entry.key: entry.pods for entry in file.gangs}
    assert pods["held"] == ["held-0", "held-1"]
    assert pods["big"] == [""] * 9


def test_gangs_outside_the_queue_are_there_and_left_out(tmp_path: Path) -> None:
    """Members missing, not supported, binds under way: shown with the reason, never planned."""
    cache = cache_of("s1/l1: n1 n2")
    roster = FakeRoster(
        view("part", wanted=4, minimum=4, waiting=2, state=GangState.WAITING),
        view("odd", waiting=2, wanted=2, unsupported=("volumes",)),
        view("lost", waiting=1, state=None, problems=("its owner is gone",)),
        view("slow", waiting=1),
        view("done", waiting=0, bound=1, state=GangState.PLACED),
    )
    out = taken(cache, tmp_path / "snap", roster)
    rows = {row["gang"].split("/")[2]: row for row in plan_once(out, None)}
    assert {name: (row["verdict"], row["why"]) for name, row in rows.items()} == {
        "part": ("waits for members", "2 of 4 members exist: too few to start"),
        "odd": ("left out", "not placed because of what is not supported: volumes"),
        "lost": ("left out", "its owner is gone"),
        "slow": ("left out", "not in the queue yet"),
    }
    assert read_manifest(out).dropped_rows == {"pod of an incomplete gang": 2}


def test_the_copy_is_the_caller_s_own() -> None:
    """What happens to the cache afterwards does not show in it, and it never turns stale."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 2))
    copy = copied(cache, 0)
    before = copy.snapshot.free.copy()
    cache.upsert_pod("foreign", "n1", ONE_GPU)
    cache.dequeue("a")
    assert cache.freeze(1).free[2].tolist() == [3, 4]
    copy.snapshot.check_fresh()
    assert (copy.snapshot.free == before).all()
    assert copy.pending.key == ("a",)


def test_a_cluster_without_nodes_levels_or_gangs_can_be_taken(tmp_path: Path) -> None:
    """Nothing there is a snapshot, too."""
    empty = Cache(cache_of("s1/l1: n1").shapes.resources)
    assert plan_once(taken(empty, tmp_path / "snap"), None) == []


def test_the_text_is_that_of_the_whole_document() -> None:
    """Piece by piece or at once: the same bytes, whatever stands in them."""
    taken_now = copied(busy_cache(), 100)
    names = [['\n\u2028"'] * int(n) for n in np.diff(taken_now.pending.offset)]
    file = cluster_file(taken_now, ProfileEntry(), names)
    file.notes = [f"note {i}\n" for i in range(250)]
    pieces = b"".join(cluster_text(file))
    file.nodes = list(file.nodes)
    whole = msgspec.json.format(msgspec.json.encode(file, order="sorted"), indent=1)
    assert pieces == whole + b"\n"


def test_absurd_numbers_do_not_stop_a_snapshot(tmp_path: Path) -> None:
    """What no trace may hold is cut there, and stands as it is in cluster.json."""
    cache = cache_of("s1/l1: n1 n2")
    cache.upsert_node(spec("n1", ("s1", "l1"), 2**60, slots=2**60))
    huge = cache.shape(Shape((2**60, 0, 2**60)))
    cache.enqueue(gang("huge", 2, shape=huge, priority=-(2**31), ready_us=2**60))
    cache.enqueue(gang("old", 2, segment_size=2**30, segment_level=1))
    out = taken(cache, tmp_path / "snap")
    assert read_trace(out).nodes.gpu.tolist() == [10**6, 4]
    want = [row for row in live(cache, 100) if "verdict" in row]
    rows = [{k: v for k, v in row.items() if k != "key"} for row in want]
    assert plan_once(out, None) == rows
