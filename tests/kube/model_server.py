"""What an API server does to list and watch of one resource, in memory: the model of the fuzz.

Objects have a namespace, a name, a UID and a phase; those whose phase is Succeeded are hidden by
the selector, as finished pods are. Every change gets the next resourceVersion. Nothing of the
past is forgotten for `visible_at`, though `compact` makes it unavailable to clients.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import parse_qs, urlsplit

from scheduler.kube.frames import INITIAL_EVENTS_END
from scheduler.kube.transport import Response

HIDDEN = "Succeeded"


@dataclass(frozen=True)
class Thing:
    """One version of one object. `odd`: it cannot be decoded as a pod."""

    key: str
    uid: str
    version: int
    phase: str = "Running"
    odd: bool = False

    @property
    def visible(self) -> bool:
        """Whether the selector lets it through."""
        return self.phase != HIDDEN

    def json(self) -> dict[str, object]:
        """As the server writes it."""
        namespace, name = self.key.split("/")
        meta = {
            "name": name,
            "namespace": namespace,
            "uid": self.uid,
            "resourceVersion": str(self.version),
            "managedFields": [{"manager": "x" * (self.version % 7)}],
        }
        containers: object = 5 if self.odd else [{"name": "main"}]
        return {
            "kind": "Pod",
            "metadata": meta,
            "spec": {"containers": containers},
            "status": {"phase": self.phase},
        }


def line(kind: str, thing: object) -> bytes:
    """One event of a watch."""
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def bookmark(version: int, *, end: bool = False) -> bytes:
    """A bookmark; `end`: of the list part of a streaming list."""
    notes = {"annotations": {INITIAL_EVENTS_END: "true"}} if end else {}
    meta = {"resourceVersion": str(version), "creationTimestamp": None, **notes}
    return line("BOOKMARK", {"kind": "Pod", "metadata": meta, "spec": {"containers": None}})


def status(code: int, reason: str) -> dict[str, object]:
    """A metav1.Status."""
    return {
        "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": f"{reason} happened",
    }  # fmt: skip


@dataclass
class Stream:
    """A watch that is open. `out` is what was written and not read by the client."""

    position: int
    out: bytearray = field(default_factory=bytearray)
    ended: bool = False


class ModelServer:
    """Objects, their history, and answers to requests."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.version = 100
        self.compacted = 100
        self.streams_lists = True
        self.duplicates = False
        self.things: dict[str, Thing] = {}
        self.past: list[tuple[str, Thing | None, Thing]] = []
        """(event type to somebody without a selector, what was before, what is now)."""
        self._pages: dict[str, tuple[int, list[Thing]]] = {}
        self._tokens = 0
        self._uids = 0

    # Changes

    def create(self, key: str) -> None:
        """A new object, unless there is one of this name."""
        if key not in self.things:
            self.version += 1
            self._uids += 1
            self._write(None, Thing(key, f"uid-{self._uids}", self.version))

    def change(self, key: str, *, phase: str = "Running", odd: bool = False) -> None:
        """A new version, if there is such an object. A finished pod stays finished."""
        old = self.things.get(key)
        if old is not None:
            self.version += 1
            phase = phase if old.visible else old.phase
            self._write(old, replace(old, version=self.version, phase=phase, odd=odd))

    def delete(self, key: str) -> None:
        """Removes it, if it is there."""
        old = self.things.pop(key, None)
        if old is not None:
            self.version += 1
            self.past.append(("DELETED", old, replace(old, version=self.version)))

    def _write(self, old: Thing | None, thing: Thing) -> None:
        self.things[thing.key] = thing
        self.past.append(("ADDED" if old is None else "MODIFIED", old, thing))

    def compact(self, version: int) -> None:
        """Watches and pages from before `version` are answered 410 from now on."""
        self.compacted = max(self.compacted, min(version, self.version))

    def visible_at(self, version: int) -> dict[str, Thing]:
        """What a list at this version holds, by key."""
        found: dict[str, Thing] = {}
        for kind, _, thing in self.past:
            if thing.version > version:
                break
            found.pop(thing.key, None)
            if kind != "DELETED" and thing.visible:
                found[thing.key] = thing
        return found

    # Requests

    def page(self, path: str) -> Response:
        """The answer to a request for a page."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if "continue" in query:
            version, rest = self._pages[query["continue"]]
            if version < self.compacted:
                return Response(410, json.dumps(status(410, "Expired")).encode())
        else:
            version, rest = self.version, sorted(self.visible_now(), key=lambda t: t.key)
        size = min(int(query["limit"]), 500) // 100 if "limit" in query else len(rest)
        meta: dict[str, object] = {"resourceVersion": str(version)}
        if len(rest) > size:
            self._tokens += 1
            token = f"token/{self._tokens}+=="
            self._pages[token] = (version, rest[size:])
            meta["continue"] = token
        body = {"kind": "PodList", "metadata": meta, "items": [t.json() for t in rest[:size]]}
        return Response(200, json.dumps(body).encode())

    def visible_now(self) -> list[Thing]:
        """What the selector lets through."""
        return [thing for thing in self.things.values() if thing.visible]

    def watch(self, path: str) -> Stream | Response:
        """A stream, or a refusal."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        assert query["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"
        if "sendInitialEvents" in query:
            if not self.streams_lists:
                return Response(422, json.dumps(status(422, "Invalid")).encode())
            stream = Stream(self.version)
            things = self.visible_now()
            self.rng.shuffle(things)
            for thing in things:
                stream.out += line("ADDED", thing.json())
            stream.out += bookmark(self.version, end=True)
            return stream
        version = int(query["resourceVersion"])
        if version < self.compacted:
            if self.rng.random() < 0.5:
                return Response(410, json.dumps(status(410, "Expired")).encode())
            return Stream(version, bytearray(line("ERROR", status(410, "Expired"))), ended=True)
        if self.duplicates:
            version = max(self.compacted, version - self.rng.randrange(5))
        return Stream(version)

    def write(self, stream: Stream) -> None:
        """Lets everything that has happened flow into the stream."""
        if stream.ended:
            return
        if stream.position < self.compacted and stream.position < self.version:
            stream.out += line("ERROR", status(410, "Expired"))
            stream.ended = True
            return
        for event in self._events_after(stream.position):
            stream.out += event
        stream.position = self.version

    def _events_after(self, version: int) -> Iterator[bytes]:
        for kind, old, thing in self.past:
            if thing.version <= version:
                continue
            before = old is not None and old.visible
            after = kind != "DELETED" and thing.visible
            if after:
                yield line("MODIFIED" if before else "ADDED", thing.json())
            elif before and old is not None:
                # The content before, with the version of the change: so does kube-apiserver.
                yield line("DELETED", replace(old, version=thing.version).json())
