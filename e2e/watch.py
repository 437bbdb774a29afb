"""What happened to pods and nodes during a test, as the API server told it.

One thread a kind lists and then watches the whole cluster. Tests wait on the current state instead
of asking the API server again and again; `e2e.invariants` reads the history afterwards. The few
fields that both need are decoded, the rest is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import urllib3

from e2e.api import Api, ApiError, Stream


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """An owner reference."""

    kind: str
    name: str
    uid: str
    controller: bool = False


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """Object metadata."""

    resource_version: str = "0"
    name: str = ""
    uid: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    deletion_timestamp: str | None = None


class Resources(msgspec.Struct, frozen=True):
    """Requests: resource -> quantity. The API server fills them in from limits."""

    requests: dict[str, str] = {}


class Container(msgspec.Struct, frozen=True, rename="camel"):
    """A container; `restart_policy` Always makes an init container a sidecar."""

    resources: Resources = Resources()
    restart_policy: str = ""


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What decides who binds the pod, where it is and what it takes."""

    scheduler_name: str = ""
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: dict[str, str] = {}
    resources: Resources = Resources()
    scheduling_gates: tuple[dict[str, str], ...] = ()


class Condition(msgspec.Struct, frozen=True):
    """A condition of a pod or node."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class PodStatus(msgspec.Struct, frozen=True):
    """Phase, why, and conditions."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()


class Pod(msgspec.Struct, frozen=True):
    """A pod as one event showed it."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if the pod has it."""
        return next((each for each in self.status.conditions if each.type == kind), None)

    @property
    def finished(self) -> bool:
        """Succeeded or Failed: it takes no room any more."""
        return self.status.phase in {"Succeeded", "Failed"}

    @property
    def ready(self) -> bool:
        """Its Ready condition is true."""
        condition = self.condition("Ready")
        return condition is not None and condition.status == "True"


class NodeSpec(msgspec.Struct, frozen=True):
    """What keeps pods away from a node."""

    taints: tuple[dict[str, str], ...] = ()
    unschedulable: bool = False


class NodeStatus(msgspec.Struct, frozen=True):
    """What a node offers, and its health."""

    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()


class Node(msgspec.Struct, frozen=True):
    """A node as one event showed it."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def schedulable(self) -> bool:
        """Ready, and without the taint that the API server gives every new node."""
        ready = any(
            each.type == "Ready" and each.status == "True" for each in self.status.conditions
        )
        tainted = any(each["key"] == "node.kubernetes.io/not-ready" for each in self.spec.taints)
        return ready and not tainted


@dataclass(frozen=True, slots=True)
class Change:
    """One event: `kind` is pod or node, `type` ADDED, MODIFIED or DELETED, `at` monotonic s."""

    kind: str
    type: str
    item: Pod | Node
    at: float

    @property
    def version(self) -> int:
        """The object's resourceVersion, which orders events of both kinds."""
        return int(self.item.metadata.resource_version)


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Head(msgspec.Struct, frozen=True):
    metadata: Meta


@dataclass
class Recorder:
    """Watches until `stop`; `changes` is everything seen, `pods` and `nodes` what is there now.

    `gaps` says where the watch lost its place: the history is not whole then.
    """

    api: Api
    changes: list[Change] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    PATHS: ClassVar[dict[str, str]] = {"pod": "/api/v1/pods", "node": "/api/v1/nodes"}
    TYPES: ClassVar[dict[str, Any]] = {"pod": Pod, "node": Node}

    def __post_init__(self) -> None:
        """Nothing runs yet: see `start`."""
        self.news = threading.Condition()
        self._decoders = {kind: msgspec.json.Decoder(model) for kind, model in self.TYPES.items()}
        self._events = msgspec.json.Decoder(_Event)
        self._stopping = threading.Event()
        self._streams: dict[str, Stream] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> Recorder:
        """Returns when both kinds have been listed."""
        for kind in self.PATHS:
            version = self._list(kind)
            thread = threading.Thread(
                target=self._follow, args=(kind, version), name=f"watch-{kind}", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Ends the watches; what was seen stays readable."""
        self._stopping.set()
        for thread in self._threads:
            while thread.is_alive():
                for stream in list(self._streams.values()):
                    stream.stop()
                thread.join(0.2)

    def wait_for(self, what: str, missing: Callable[[], str], seconds: float) -> None:
        """Returns once `missing` (called after news, under the lock) returns "".

        Raises AssertionError with what it returned last when the time is over.
        """
        deadline = time.monotonic() + seconds
        while True:
            asked = time.monotonic()
            with self.news:
                lacking = missing()
                if not lacking:
                    return
                if asked > deadline:
                    raise AssertionError(f"{what}: after {seconds:.0f} s still {lacking}")
                spent = time.monotonic() - asked
                self.news.wait(deadline - asked)
            # `missing` may look at thousands of pods: let a burst of news pass first.
            time.sleep(max(0.01, 4 * spent))

    def in_namespace(self, namespace: str) -> list[Pod]:
        """The pods that are there now."""
        with self.news:
            return [pod for pod in self.pods.values() if pod.metadata.namespace == namespace]

    def catch_up(self, namespace: str, seconds: float = 10.0) -> None:
        """Waits until the history holds what a list of the namespace's pods shows now.

        Raises AssertionError if it does not: the watch has lost events.
        """
        listed = {
            item["metadata"]["uid"]: int(item["metadata"]["resourceVersion"])
            for item in self.api.items(f"/api/v1/namespaces/{namespace}/pods")
        }

        def missing() -> str:
            seen = {uid: int(pod.metadata.resource_version) for uid, pod in self.pods.items()}
            late = [uid for uid, version in listed.items() if seen.get(uid, -1) < version]
            # One that was deleted since the list is late for ever, and its deletion is recorded.
            gone = {change.item.metadata.uid for change in self.changes if change.type == "DELETED"}
            late = [uid for uid in late if uid not in gone] if late else late
            return f"unseen on the watch: {late[:5]} and so on" if late else ""

        self.wait_for("the watch catches up", missing, seconds)

    def _list(self, kind: str) -> str:
        """Takes over what is there now; returns the list's resourceVersion."""
        document = self.api.get(self.PATHS[kind])
        decoded = [msgspec.convert(item, self.TYPES[kind]) for item in document["items"]]
        known = self._known(kind)
        present = {item.metadata.uid for item in decoded}
        vanished = [item for uid, item in known.items() if uid not in present]
        self._take(kind, [("DELETED", item) for item in vanished])
        self._take(
            kind,
            [("MODIFIED" if item.metadata.uid in known else "ADDED", item) for item in decoded],
        )
        version: str = document["metadata"]["resourceVersion"]
        return version

    def _known(self, kind: str) -> dict[str, Any]:
        """uid -> object, of that kind."""
        return self.pods if kind == "pod" else self.nodes

    def _take(self, kind: str, events: Iterable[tuple[str, Pod | Node]]) -> None:
        """Records events and brings the current state up to date."""
        at = time.monotonic()
        with self.news:
            known = self._known(kind)
            for type_, item in events:
                self.changes.append(Change(kind, type_, item, at))
                if type_ == "DELETED":
                    known.pop(item.metadata.uid, None)
                else:
                    known[item.metadata.uid] = item
            self.news.notify_all()

    def _follow(self, kind: str, version: str) -> None:
        """Watches from `version` on, again after each end of the stream.

        A server that is away loses nothing; one that says that the history is too old (410), or
        something that cannot be read, leaves a gap and is followed by a new list.
        """
        while not self._stopping.is_set():
            try:
                version = self._watch(kind, version)
            except (ApiError, msgspec.MsgspecError) as error:
                self._note(kind, error)
                self._stopping.wait(0.2)
                with suppress(ApiError, urllib3.exceptions.HTTPError):
                    version = self._list(kind)
            except (urllib3.exceptions.HTTPError, OSError):
                # Away or closing: the next watch resumes at `version`, nothing is lost.
                self._stopping.wait(0.2)

    def _note(self, kind: str, error: Exception) -> None:
        """A gap in the history, unless we are leaving anyway."""
        if not self._stopping.is_set():
            self.gaps.append(f"{kind}s: {error}")

    def _watch(self, kind: str, version: str) -> str:
        """Takes events until the server closes the stream; returns where to resume."""
        stream = self.api.watch(self.PATHS[kind], resourceVersion=version)
        self._streams[kind] = stream
        try:
            for line in stream:
                event = self._events.decode(line)
                if event.type == "ERROR":
                    status = msgspec.json.decode(event.object)
                    raise ApiError(status["code"], status["reason"], status["message"])
                if event.type == "BOOKMARK":  # no pod: its containers are null
                    version = msgspec.json.decode(
                        event.object, type=_Head
                    ).metadata.resource_version
                    continue
                item = self._decoders[kind].decode(event.object)
                version = item.metadata.resource_version
                self._take(kind, [(event.type, item)])
        except (urllib3.exceptions.HTTPError, OSError):
            if not self._stopping.is_set():
                self._stopping.wait(0.1)
        return version
