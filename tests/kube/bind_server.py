"""An API server as the binder sees it, in simulated time: pods that are bound at most once, and a
network that loses, delays and breaks off requests as it is told to.

It is the Transport too, so that it knows what the client believes and what really happened.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import numpy as np

from scheduler.clock import ManualClock
from scheduler.kube.batch import Batch
from scheduler.kube.transport import Done, Handle, Request, Response

OURS = "us"
PATH = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)(/binding)?")


@dataclass
class Pod:
    """A pod of the server. bound_by: who chose `node`."""

    name: str
    uid: str
    node: str = ""
    bound_by: str = ""
    deleting: bool = False
    gates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fate:
    """What happens to a request. Times are microseconds after it was sent.

    at: when the server works on it, None = never. answer: instead of what the server says.
    back: when the client hears, None = never (it times out). broken: it hears of a reset then.
    """

    at: int | None = 1_000
    answer: Response | None = None
    back: int | None = 2_000
    broken: bool = False


class Ended:
    """Nothing to be cancelled."""

    def cancel(self) -> None:
        """Requests of these tests are not cancelled."""


@dataclass
class Server:
    """`fate(request)` decides what happens to each request; pods are known by name."""

    clock: ManualClock = field(default_factory=ManualClock)
    pods: dict[str, Pod] = field(default_factory=dict)
    fate: Callable[[Request], Fate] = lambda _: Fate()
    sent: list[Request] = field(default_factory=list)
    outstanding: dict[str, int] = field(default_factory=dict)
    most_outstanding: int = 0
    ever: dict[str, Pod] = field(default_factory=dict)
    """Every pod by UID, also when it is gone."""
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def create(self, name: str, uid: str = "", gates: tuple[str, ...] = ()) -> Pod:
        """A new pod of that name, in the place of an old one."""
        pod = Pod(name, uid or f"uid-{name}", gates=gates)
        self.pods[name] = self.ever[pod.uid] = pod
        return pod

    def later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Runs `act` in simulated time."""
        heapq.heappush(self._events, (self.clock.elapsed_us() + delay_us, next(self._numbers), act))

    def send(self, request: Request, done: Done) -> Handle:
        """Transport."""
        path = unquote(urlsplit(request.path).path).removesuffix("/binding")
        assert path not in self.outstanding, f"two requests at once for {path}"
        self.outstanding[path] = 1
        self.most_outstanding = max(self.most_outstanding, len(self.outstanding))
        self.sent.append(request)
        fate = self.fate(request)
        answers: list[Response] = []

        def hear(response: Response) -> None:
            if self.outstanding.pop(path, None):
                done(response)

        self._work(request, fate, answers)
        expired = Response(0, error="timed out")
        if fate.back is None or fate.back >= request.timeout_us:
            self.later(request.timeout_us, lambda: hear(expired))
        elif fate.broken:
            self.later(fate.back, lambda: hear(Response(0, error="connection reset")))
        else:
            self.later(fate.back, lambda: hear(fate.answer or answers[0]))
        return Ended()

    def _work(self, request: Request, fate: Fate, answers: list[Response]) -> None:
        if fate.at is not None:
            self.later(fate.at, lambda: answers.append(self.handle(request)))

    def poll(self, timeout_us: int) -> None:
        """Transport: lets time pass up to the next event, and calls back."""
        limit = self.clock.elapsed_us() + timeout_us
        if not self._events or self._events[0][0] > limit:
            self.clock.advance(timeout_us)
            return
        self.clock.set(max(self._events[0][0], self.clock.elapsed_us()))
        while self._events and self._events[0][0] <= self.clock.elapsed_us():
            heapq.heappop(self._events)[2]()

    def stream(self, request: Request, *_: object) -> Handle:
        """Transport; binders do not stream."""
        raise AssertionError(request.path)

    def wake(self) -> None:
        """Transport."""

    def close(self) -> None:
        """Transport."""

    def handle(self, request: Request) -> Response:
        """What a healthy API server says, and does."""
        matched = PATH.fullmatch(unquote(urlsplit(request.path).path))
        assert matched, request.path
        pod = self.pods.get(matched[2])
        if pod is None:
            return refusal(404, "NotFound", f'pods "{matched[2]}" not found')
        if request.method == "GET":
            return Response(200, json.dumps(as_object(pod)).encode())
        return self._bind(pod, json.loads(request.body))

    def _bind(self, pod: Pod, binding: dict[str, dict[str, str]]) -> Response:
        name, uid = binding["metadata"]["name"], binding["metadata"]["uid"]
        if name != pod.name:
            return refusal(400, "BadRequest", "name in URL does not match name in Binding object")
        if not binding["target"]["name"]:
            return refusal(500, "", "target.name: Required value")
        start = f'Operation cannot be fulfilled on pods/binding "{name}": '
        if uid != pod.uid:
            words = (
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {pod.uid}"
            )
        elif pod.deleting:
            words = f"pod {name} is being deleted, cannot be assigned to a host"
        elif pod.node:
            words = f'pod {name} is already assigned to node "{pod.node}"'
        elif pod.gates:
            words = f"pod {name} has non-empty .spec.schedulingGates"
        else:
            pod.node, pod.bound_by = binding["target"]["name"], OURS
            return Response(201, b'{"kind":"Status","status":"Success","code":201}')
        return refusal(409, "Conflict", start + words)


def as_object(pod: Pod) -> dict[str, object]:
    """The pod as JSON has it."""
    metadata = {"name": pod.name, "namespace": "ns", "uid": pod.uid}
    if pod.deleting:
        metadata["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    gates = [{"name": gate} for gate in pod.gates]
    spec = {"containers": [], "schedulingGates": gates, "nodeName": pod.node}
    return {"metadata": metadata, "spec": spec, "status": {}}


def refusal(code: int, reason: str, message: str, retry_after_us: int | None = None) -> Response:
    """A metav1.Status."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason,
            "code": code}  # fmt: skip
    return Response(code, json.dumps(body).encode(), retry_after_us)


def batch(
    key: str, names: list[str], *, nodes: list[str] | None = None, priority: int = 0
) -> Batch:
    """Members `names` of gang `key`; by default rank r goes to node n-r."""
    ranks = np.arange(len(names), dtype=np.int32)
    return Batch(
        key, "ns", names, [f"uid-{name}" for name in names],
        nodes or [f"n-{rank}" for rank in ranks.tolist()], ranks, f"ns/StatefulSet/{key}",
        "spine-1/leaf-2", priority,
    )  # fmt: skip
