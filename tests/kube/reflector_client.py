"""A reflector and the hand that feeds it, one request at a time."""

from __future__ import annotations

import json
from random import Random
from urllib.parse import parse_qs, urlsplit

from scheduler.kube.frames import Listed
from scheduler.kube.reflector import Reflector
from scheduler.kube.resources import PODS, Resource
from scheduler.kube.transport import Response
from tests.kube.model_server import Thing, bookmark, line
from tests.kube.recording_sink import RecordingSink

SECOND_US = 1_000_000


class Client:
    """A reflector and the hand that feeds it."""

    def __init__(self, resource: Resource = PODS) -> None:
        self.sink = RecordingSink()
        self.reflector = Reflector(resource, self.sink, Random(1))
        self.now_us = SECOND_US

    def ask(self) -> dict[str, str]:
        """The query of the request that is wanted now; there must be one."""
        ask = self.reflector.next(self.now_us)
        assert ask is not None, f"waits until {self.reflector.until_us}"
        path, query = urlsplit(ask.path).path, urlsplit(ask.path).query
        assert path == self.reflector.resource.path
        found = {name: values[0] for name, values in parse_qs(query).items()}
        assert ask.stream == (found.get("watch") == "1")
        return found

    def waits_us(self) -> int:
        """How long until the next request."""
        assert self.reflector.next(self.now_us) is None
        return self.reflector.until_us - self.now_us

    def hear(self, *lines: bytes) -> bool:
        """Lines of a stream."""
        return self.reflector.heard(b"".join(lines), self.now_us)

    def end(self, code: int = 200, body: object = None, **more: object) -> None:
        """The request is over."""
        raw = json.dumps(body).encode() if body is not None else b""
        self.reflector.ended(Response(code, raw, **more), self.now_us)  # type: ignore[arg-type]

    def listed(self, version: int = 100, *things: Thing) -> None:
        """A streaming list, complete."""
        self.ask()
        added = [line("ADDED", thing.json()) for thing in things]
        assert self.hear(*added, bookmark(version, end=True))

    def past_wait(self) -> None:
        """Time passes until the next request may be sent."""
        self.now_us = max(self.now_us, self.reflector.until_us)


def pod(uid: str, version: int, key: str = "a/x", *, odd: bool = False) -> Thing:
    """One version of a pod."""
    return Thing(key, uid, version, odd=odd)


def page(version: int, *things: Thing, token: str = "") -> dict[str, object]:
    """A page of a list."""
    meta = {"resourceVersion": str(version), "continue": token}
    return {"kind": "PodList", "metadata": meta, "items": [thing.json() for thing in things]}


def as_listed(obj: object) -> Listed:
    """For type checkers: objects of every resource have metadata."""
    return obj  # type: ignore[return-value]
