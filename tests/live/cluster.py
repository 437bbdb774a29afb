"""A small API server in memory, in virtual time, for tests of the whole scheduler at once.

It is the Transport: lists and watches stream from one history, binds are compare-and-set by UID,
status patches and events are counted. What goes wrong is told by `faults`: request -> answer to
give instead (after doing the work, if `does` says so).
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from scheduler.app import App
from scheduler.clock import ManualClock
from scheduler.config import Config, LevelConfig, ProfileConfig
from scheduler.kube.resources import ALL, Resource
from scheduler.kube.transport import Done, Request, Response

Object = dict[str, Any]

LEVELS = (LevelConfig(name="spine", label="net/spine"), LevelConfig(name="leaf", label="net/leaf"))


def config(**sections: Any) -> Config:
    """A configuration with two levels."""
    profile = ProfileConfig(scheduler_name="muster", levels=LEVELS)
    return Config(
        api_version="muster.dev/v1alpha1",
        kind="MusterConfiguration",
        **{"profiles": (profile,), "node_settle_us": 0, **sections},
    )


@dataclass
class Watch:
    """An open watch, and what it has not been sent yet."""

    plural: str
    data: Callable[[bytes], None]
    done: Done
    out: deque[bytes] = field(default_factory=deque)
    ended: bool = False

    def cancel(self) -> None:
        """The client is gone."""
        self.ended = True


class Nothing:
    """A request whose answer is on its way."""

    def cancel(self) -> None:
        """Too late."""


class Cluster:
    """Objects by plural and key, and the transport to them."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.objects: dict[str, dict[str, Object]] = {r.plural: {} for r in ALL}
        self.watches: list[Watch] = []
        self.counts: Counter[str] = Counter()
        self.binds: list[str] = []
        """Pod and node of each bind that landed, in order."""
        self.posted: list[Object] = []
        """Events and whatever else was created, in order."""
        self.faults: Callable[[Request], Response | None] = lambda _: None
        self.does = True
        """Whether the work is done before a fault answers."""
        self.served: set[str] = {r.plural for r in ALL if not r.optional}
        self._answers: deque[Callable[[], None]] = deque()
        self._numbers = itertools.count(1)

    # ---- what others do

    def put(self, resource: Resource, obj: Object) -> Object:
        """Creates or changes an object."""
        meta = obj["metadata"]
        key = f"{meta.get('namespace', '')}/{meta['name']}"
        kind = "MODIFIED" if key in self.objects[resource.plural] else "ADDED"
        meta.setdefault("uid", f"uid-{resource.kind}-{next(self._numbers)}")
        meta["resourceVersion"] = str(next(self._numbers))
        meta.setdefault("creationTimestamp", _stamp(self.clock.now_us()))
        self.objects[resource.plural][key] = obj
        self._tell(resource.plural, kind, obj)
        return obj

    def delete(self, resource: Resource, key: str) -> None:
        """Removes an object."""
        obj = self.objects[resource.plural].pop(key)
        obj["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._tell(resource.plural, "DELETED", obj)

    def lag(self, plural: str) -> None:
        """What the watches of one kind were to be sent is lost for good."""
        for watch in self.watches:
            if watch.plural == plural:
                watch.out.clear()

    def drop_watches(self) -> None:
        """The server closes every watch."""
        for watch in self.watches:
            if not watch.ended:
                watch.ended = True
                self._later(watch.done, Response(200))
        self.watches.clear()

    def _tell(self, plural: str, kind: str, obj: Object) -> None:
        line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
        for watch in self.watches:
            if watch.plural == plural and not watch.ended:
                watch.out.append(line)

    # ---- Transport

    def send(self, request: Request, done: Done) -> Nothing:
        """See Transport."""
        fault = self.faults(request)
        response = self._serve(request) if fault is None or self.does else None
        self._later(done, fault or response or Response(500))
        return Nothing()

    def stream(
        self, request: Request, status: Callable[[int], None], data: Callable[[bytes], None],
        done: Done,
    ) -> Watch:  # fmt: skip
        """See Transport."""
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        plural = url.path.rpartition("/")[2]
        watch = Watch(plural, data, done)
        fault = self.faults(request)
        if fault is not None:
            self._later(done, fault)
            return watch
        self._answers.append(lambda: None if watch.ended else status(200))
        if "sendInitialEvents" in query:
            for obj in self.objects[plural].values():
                watch.out.append(json.dumps({"type": "ADDED", "object": obj}).encode() + b"\n")
            version = str(next(self._numbers))
            meta = {
                "resourceVersion": version,
                "annotations": {"k8s.io/initial-events-end": "true"},
            }
            end = {"type": "BOOKMARK", "object": {"metadata": meta}}
            watch.out.append(json.dumps(end).encode() + b"\n")
        else:  # a resumed watch: what it has missed
            since = int(query["resourceVersion"][0])
            for obj in self.objects[plural].values():
                if int(obj["metadata"]["resourceVersion"]) > since:
                    line = {"type": "MODIFIED", "object": obj}
                    watch.out.append(json.dumps(line).encode() + b"\n")
        self.watches.append(watch)
        return watch

    def poll(self, timeout_us: int) -> None:
        """Time passes only if there is nothing to hear."""
        heard = bool(self._answers)
        for _ in range(len(self._answers)):
            self._answers.popleft()()
        for watch in list(self.watches):
            while watch.out and not watch.ended:
                heard = True
                watch.data(watch.out.popleft())
        self.clock.advance(1_000 if heard else max(timeout_us, 1_000))

    def wake(self) -> None:
        """Nobody sleeps here."""

    def close(self) -> None:
        """Nothing is open."""

    def _later(self, done: Done, response: Response) -> None:
        self._answers.append(lambda: done(response))

    # ---- the server

    def _serve(self, request: Request) -> Response:
        url = urlsplit(request.path)
        parts = [unquote(part) for part in url.path.split("/") if part]
        if request.method == "POST" and parts[-1] == "binding":
            return self._bind(f"{parts[3]}/{parts[5]}", json.loads(request.body))
        if request.method == "PATCH":
            self.counts["PATCH " + "/".join(parts[-3:-2])] += 1
            return self._patch(parts, json.loads(request.body))
        if request.method == "POST":
            self.counts["POST " + parts[-1]] += 1
            self.posted.append(json.loads(request.body))
            return Response(201, b"{}")
        self.counts["GET"] += 1
        if parts[-1] in {"v1", "v1alpha1"}:
            names = [{"name": plural} for plural in sorted(self.served)]
            if "x-k8s" in url.path and "podgroups" not in self.served:
                return Response(404)
            return Response(200, json.dumps({"resources": names}).encode())
        obj = self.objects.get(parts[-2], {}).get(f"{parts[-3]}/{parts[-1]}")
        return Response(404) if obj is None else Response(200, json.dumps(obj).encode())

    def _bind(self, key: str, body: Object) -> Response:
        pod = self.objects["pods"].get(key)
        if pod is None:
            return Response(404, _status(404, f'pods "{key}" not found'))
        if pod["metadata"]["uid"] != body["metadata"]["uid"]:
            return Response(409, _status(409, "Precondition failed: UID in precondition: x"))
        at = pod["spec"].get("nodeName")
        if at:
            text = f'pod {pod["metadata"]["name"]} is already assigned to node "{at}"'
            return Response(409, _status(409, text))
        node = body["target"]["name"]
        self.binds.append(f"{key} {node}")
        pod["spec"]["nodeName"] = node
        pod["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
        pod["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._tell("pods", "MODIFIED", pod)
        return Response(201, b'{"kind":"Status","status":"Success"}')

    def _patch(self, parts: list[str], body: Object) -> Response:
        pod = self.objects["pods"].get(f"{parts[3]}/{parts[5]}") if parts[4] == "pods" else None
        if pod is None:
            return Response(404)
        conditions = {c["type"]: c for c in pod.setdefault("status", {}).get("conditions", [])}
        conditions.update({c["type"]: c for c in body["status"]["conditions"]})
        pod["status"]["conditions"] = list(conditions.values())
        pod["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._tell("pods", "MODIFIED", pod)
        return Response(200, b"{}")


def _status(code: int, message: str) -> bytes:
    reason = {404: "NotFound", 409: "Conflict"}.get(code, "")
    found = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return json.dumps({**found, "message": message}).encode()


def _stamp(now_us: int) -> str:
    return datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Scheduler:
    """An App on a Cluster, turned by hand."""

    def __init__(self, cluster: Cluster, seed: int = 1, **sections: Any) -> None:
        self.cluster = cluster
        self.app = App(config(**sections), cluster, cluster.clock, Random(seed))
        self.app.watcher.start()

    def turns(self, count: int = 50) -> None:
        """So many turns of the loop."""
        for _ in range(count):
            self.app.loop.turn()

    def seconds(self, seconds: float) -> None:
        """Turns until so much time has passed."""
        until = self.cluster.clock.now_us() + int(seconds * 1e6)
        while self.cluster.clock.now_us() < until:
            self.app.loop.turn()
