"""All reflectors together on one transport: what is sent when, and what is told about health."""

from __future__ import annotations

import json
from random import Random

from scheduler.clock import ManualClock
from scheduler.kube.discovery import AGAIN_US as DISCOVERY_US
from scheduler.kube.owner_reads import AGAIN_US, OwnerReads
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS, X_POD_GROUPS
from scheduler.kube.watcher import IDLE_US, Found, Watcher
from scheduler.state.gang_view import OwnerRef
from tests.kube.model_server import Thing, bookmark, line, status
from tests.kube.recording_sink import RecordingSink
from tests.kube.scripted_transport import ScriptedTransport

SERVED = json.dumps({"resources": [{"name": "podgroups"}]}).encode()
SET = "/apis/apps/v1/namespaces/a/statefulsets/x"


class World:
    """A watcher, its transport and its sink."""

    def __init__(self) -> None:
        self.clock = ManualClock(10**15)
        self.transport = ScriptedTransport()
        self.sink = RecordingSink()
        resources = (NODES, STATEFUL_SETS, X_POD_GROUPS, PODS)
        self.watcher = Watcher(self.transport, self.clock, self.sink, resources, Random(1))

    def start(self) -> World:
        """All lists are complete; pod groups are not served."""
        self.watcher.start()
        self.pump()
        self.transport.open(X_POD_GROUPS.group_path).answer(404)
        for resource in (NODES, STATEFUL_SETS, PODS):
            self.transport.open(resource.path).bring(bookmark(100, end=True))
        self.sink.log.clear()
        return self

    def pump(self) -> None:
        """What is due is sent."""
        self.watcher.pump(self.clock.now_us())

    def wait(self) -> int:
        """Time passes until the watcher has something to do; how much."""
        now = self.clock.now_us()
        at = self.watcher.next_time_us(now)
        assert at is not None
        self.clock.set(max(at, now))
        self.pump()
        return at - now


def test_nothing_is_sent_before_the_start() -> None:
    """A watcher may be made long before it is wanted."""
    world = World()
    world.pump()
    assert world.transport.sent == []
    assert world.watcher.next_time_us(0) is None


def test_lists_begin_together() -> None:
    """Each resource has its stream; an optional one first waits for discovery."""
    world = World()
    world.watcher.start()
    world.pump()
    assert world.transport.paths() == sorted(
        [NODES.path, STATEFUL_SETS.path, PODS.path, X_POD_GROUPS.group_path]
    )
    stream = world.transport.open(PODS.path).request
    assert (stream.timeout_us, stream.idle_us) == (0, IDLE_US)
    world.pump()
    assert len(world.transport.sent) == 4


def test_synced_when_every_list_is_complete() -> None:
    """What is not served need not be listed; what is not known yet is waited for."""
    world = World()
    every = [NODES, STATEFUL_SETS, X_POD_GROUPS, PODS]
    world.watcher.start()
    world.pump()
    for resource in (NODES, STATEFUL_SETS, PODS):
        assert not world.watcher.synced(every)
        world.transport.open(resource.path).bring(bookmark(100, end=True))
    assert not world.watcher.synced(every)
    assert world.watcher.synced([NODES, STATEFUL_SETS, PODS])
    world.transport.open(X_POD_GROUPS.group_path).answer(404)
    assert world.watcher.synced(every)


def test_broken_watch_is_resumed_after_a_pause() -> None:
    """And the pause is told, so that the loop wakes up for it."""
    world = World().start()
    world.transport.open(PODS.path).answer(0, error="Connection refused")
    world.pump()
    assert PODS.path not in world.transport.paths()
    assert 0 < world.wait() <= 750_000
    assert "resourceVersion=100" in world.transport.open(PODS.path).query


def test_stream_of_an_expired_watch_is_given_up() -> None:
    """After its ERROR event nothing more is read of it, and a list follows."""
    world = World().start()
    stream = world.transport.open(PODS.path)
    stream.bring(bookmark(101), line("ERROR", status(410, "Expired")), bookmark(999))
    assert stream.over
    world.pump()
    assert "sendInitialEvents" in world.transport.open(PODS.path).query


def test_pages_are_read_one_after_the_other() -> None:
    """A page that is complete asks for the next one without a pause."""
    world = World()
    world.watcher.start()
    world.pump()
    world.transport.open(NODES.path).answer(422)
    world.pump()
    page = {"metadata": {"resourceVersion": "9", "continue": "t"}, "items": []}
    world.transport.open(NODES.path).answer(200, json.dumps(page).encode())
    world.pump()
    assert world.transport.open(NODES.path).query == "limit=500&continue=t"


def test_kind_that_is_installed_later_is_listed() -> None:
    """Discovery looks again every minute; when the kind vanishes its objects are gone."""
    world = World().start()
    assert world.wait() == DISCOVERY_US
    world.transport.open(X_POD_GROUPS.group_path).answer(200, SERVED)
    world.pump()
    stream = world.transport.open(X_POD_GROUPS.path)
    meta = Thing("a/g", "u1", 90).json()["metadata"]
    stream.bring(line("ADDED", {"metadata": meta}), bookmark(100, end=True))
    assert world.sink.log == ["put a/g u1 90", "synced PodGroup"]
    stream.bring(bookmark(101))
    stream.answer(410)
    world.pump()
    for _ in range(2):
        world.transport.open(X_POD_GROUPS.path).answer(404)
        world.pump()
    world.transport.open(X_POD_GROUPS.group_path).answer(404)
    assert world.sink.log[-1] == "gone u1"
    assert X_POD_GROUPS.path not in world.transport.paths()
    assert world.watcher.synced([X_POD_GROUPS])


def test_health_of_each_resource() -> None:
    """What /readyz and the lag metric need: silence, failures in a row, the last error."""
    world = World().start()
    pods = world.transport.open(PODS.path)
    pods.bring(line("ADDED", Thing("a/x", "u1", 101).json()))
    world.clock.advance(70_000_000)
    health = {found.kind: found for found in world.watcher.health()}
    assert (health["Pod"].silent_us, health["Pod"].objects) == (70_000_000, 1)
    assert health["PodGroup"].served is False
    assert health["PodGroup"].silent_us is None
    pods.answer(0, error="reset by peer")
    health = {found.kind: found for found in world.watcher.health()}
    assert (health["Pod"].failures, health["Pod"].error) == (1, "reset by peer")
    assert health["Pod"].synced


def test_close_gives_up_all_watches() -> None:
    """The sink hears nothing more, and nothing more is sent."""
    world = World().start()
    world.watcher.close()
    assert world.transport.paths() == []
    world.pump()
    assert world.transport.paths() == []


def test_single_object() -> None:
    """Told apart: there, not there, not readable, not allowed."""
    world = World().start()
    found: list[Found] = []
    good = json.dumps(Thing("a/x", "u1", 90).json()).encode()
    odd = json.dumps(Thing("a/x", "u1", 90, odd=True).json()).encode()
    for code, body in ((200, good), (404, b""), (200, odd), (403, b'{"message":"no"}')):
        world.watcher.get(PODS, "a", "x", found.append)
        world.transport.open("/api/v1/namespaces/a/pods/x").answer(code, body)
    assert found[0].object is not None
    assert found[0].object.metadata.uid == "u1"
    assert found[1] == Found(404)
    assert found[2].object is None
    assert found[2].error.startswith("Pod a/x: ")
    assert found[3] == Found(403, error="403: no")
    assert world.sink.log == [], "the watch of pods has a selector"


def test_owner_is_read_once_at_a_time() -> None:
    """One that is there goes to the sink; it is not read again before a while has passed."""
    world = World().start()
    absent: list[str] = []
    reads = OwnerReads(world.watcher, world.clock, absent.append)
    owner = OwnerRef("apps/v1", "StatefulSet", "a", "x", "u1")
    for _ in range(3):
        reads.read(owner)
    meta = Thing("a/x", "u1", 150).json()["metadata"]
    world.transport.open(SET).answer(200, json.dumps({"metadata": meta}).encode())
    assert world.sink.log == ["put a/x u1 150"]
    reads.read(owner)
    assert SET not in world.transport.paths()
    world.clock.advance(AGAIN_US)
    reads.read(owner)
    assert SET in world.transport.paths()
    assert absent == []


def test_owner_that_does_not_exist() -> None:
    """404, another UID under its name, or a kind that is not served; an outage proves nothing."""
    world = World().start()
    absent: list[str] = []
    reads = OwnerReads(world.watcher, world.clock, absent.append)
    reads.read(OwnerRef("apps/v1", "StatefulSet", "a", "x", "u1"))
    world.transport.open(SET).answer(404)
    reads.read(OwnerRef("apps/v1", "StatefulSet", "a", "x", "u2"))
    meta = Thing("a/x", "u9", 50).json()["metadata"]
    world.transport.open(SET).answer(200, json.dumps({"metadata": meta}).encode())
    reads.read(OwnerRef("scheduling.x-k8s.io/v1alpha1", "PodGroup", "a", "g", "u3"))
    assert absent == ["u1", "u2", "u3"]
    reads.read(OwnerRef("apps/v1", "StatefulSet", "a", "x", "u4"))
    world.transport.open(SET).answer(0, error="reset")
    reads.read(OwnerRef("example.com/v1", "Widget", "a", "w", "u5"))
    assert absent == ["u1", "u2", "u3"]
    assert world.watcher.resource_of("StatefulSet", "apps/v1beta2") is STATEFUL_SETS
