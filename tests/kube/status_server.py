"""A small API server for what is told to users, played over a scripted transport.

It merges conditions by their type, checks UIDs, keeps events and PodGroups, and counts writes.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from scheduler.clock import ManualClock
from scheduler.kube.transport import Done, Handle, Request, Response

Object = dict[str, Any]
Trouble = Callable[[Request], Response | None]


def answer(status: int, body: Object | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(status, json.dumps(body or {}).encode())


def refusal(status: int, reason: str, message: str = "") -> Response:
    """An answer with a metav1.Status."""
    return answer(status, {"kind": "Status", "reason": reason, "message": message})


@dataclass
class _Sent:
    request: Request
    done: Done
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class StatusServer:
    """A Transport. Requests are answered by `poll`, in the order in which they were sent."""

    trouble: Trouble = lambda _: None
    pods: dict[str, Object] = field(default_factory=dict)
    """By NAMESPACE/NAME."""
    events: dict[str, Object] = field(default_factory=dict)
    groups: dict[str, Object] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    """Requests answered, by what they were about: pods, events, series,
    podgroups, lists."""
    requests: list[Request] = field(default_factory=list)
    most_in_flight: int = 0
    _sent: deque[_Sent] = field(default_factory=deque)

    def pod(self, namespace: str, name: str, uid: str) -> None:
        """A pod without conditions."""
        self.pods[f"{namespace}/{name}"] = {
            "metadata": {"uid": uid}, "spec": {}, "status": {"conditions": []},
        }  # fmt: skip

    def condition(self, pod: str, kind: str = "PodScheduled") -> Object:
        """One condition of a pod, empty if it does not have it."""
        conditions: list[Object] = self.pods[pod]["status"]["conditions"]
        return next((one for one in conditions if one["type"] == kind), {})

    def notes(self, reason: str) -> list[str]:
        """What events of one reason say, in the order in which they came."""
        return [event["note"] for event in self.events.values() if event["reason"] == reason]

    def send(self, request: Request, done: Done) -> Handle:
        """Takes a request."""
        sent = _Sent(request, done)
        self._sent.append(sent)
        self.most_in_flight = max(self.most_in_flight, len(self._sent))
        return sent

    def stream(self, *_: Any) -> Handle:
        """Nobody watches here."""
        raise AssertionError("no watches")

    def poll(self, timeout_us: int) -> None:
        """Answers everything that was sent before."""
        del timeout_us
        for _ in range(len(self._sent)):
            sent = self._sent.popleft()
            if not sent.cancelled:
                self.requests.append(sent.request)
                sent.done(self.trouble(sent.request) or self._answer(sent.request))

    def wake(self) -> None:
        """Nobody sleeps here."""

    def close(self) -> None:
        """Forgets what was sent."""
        self._sent.clear()

    def _answer(self, request: Request) -> Response:
        parts = request.path.partition("?")[0].strip("/").split("/")
        if request.method == "GET":
            self.count["lists"] += 1
            return self._finished(parts[3], parse_qs(request.path.partition("?")[2]))
        body = json.loads(request.body)
        if "pods" in parts:
            self.count["pods"] += 1
            assert request.content_type == "application/strategic-merge-patch+json"
            return self._pod(f"{parts[3]}/{parts[5]}", body)
        assert parts[0] == "apis"
        if "podgroups" in parts:
            self.count["podgroups"] += 1
            return self._group(f"{parts[4]}/{parts[6]}", body)
        self.count["events" if request.method == "POST" else "series"] += 1
        return self._event(request, parts, body)

    def _finished(self, namespace: str, query: dict[str, list[str]]) -> Response:
        """A page of the pods that have finished; the test pages by two."""
        assert query["labelSelector"] == ["scheduling.x-k8s.io/pod-group=pg"]
        assert query["fieldSelector"] == [
            "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"
        ]
        pods = [pod for key, pod in self.pods.items() if key.startswith(f"{namespace}/")]
        done = [pod for pod in pods if pod["status"].get("phase") in {"Succeeded", "Failed"}]
        start = int(query.get("continue", ["0"])[0])
        more = {"continue": str(start + 2)} if len(done) > start + 2 else {}
        return answer(200, {"items": done[start : start + 2], "metadata": more})

    def _pod(self, key: str, body: Object) -> Response:
        pod = self.pods.get(key)
        if pod is None:
            return refusal(404, "NotFound")
        if body["metadata"]["uid"] != pod["metadata"]["uid"]:
            return refusal(409, "Conflict", "Precondition failed: UID in precondition: x")
        for new in body["status"]["conditions"]:
            old = self.condition(key, new["type"])
            if not old:
                pod["status"]["conditions"].append(old)
            merged = {k: v for k, v in {**old, **new}.items() if v is not None}
            old.clear()
            old.update(merged)
        return answer(200, pod)

    def _group(self, key: str, body: Object) -> Response:
        group = self.groups.get(key)
        if group is None:
            return refusal(404, "NotFound")
        group.setdefault("status", {}).update(body["status"])
        return answer(200, group)

    def _event(self, request: Request, parts: list[str], body: Object) -> Response:
        if request.method == "POST":
            name = body["metadata"]["name"]
            assert body["metadata"]["namespace"] == parts[4]
            assert len(body["note"].encode()) <= 1024
            assert len(name) <= 253
            if name in self.events:
                return refusal(409, "AlreadyExists")
            self.events[name] = body
            return answer(201, body)
        event = self.events.get(parts[6])
        if event is None:
            return refusal(404, "NotFound")
        assert set(body) == {"series"}, "everything else of an event is immutable"
        event.update(body)
        return answer(200, event)


@dataclass
class World:
    """The server, a clock, and whoever pumps."""

    clock: ManualClock
    server: StatusServer
    pump: Callable[[int], None]
    next_time_us: Callable[[int], int | None]

    def run(self, duration_us: int) -> None:
        """Turns the loop as the application does: until nothing is due for `duration_us`."""
        end = self.clock.now_us() + duration_us
        while True:
            now = self.clock.now_us()
            before = len(self.server.requests)
            self.pump(now)
            self.server.poll(0)
            if len(self.server.requests) > before:
                continue
            when = self.next_time_us(now)
            if when is None or when >= end:
                break
            self.clock.set(max(when, now + 1))
        self.clock.set(end)
