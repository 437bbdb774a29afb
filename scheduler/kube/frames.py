"""Bytes of lists and watches as typed objects; what cannot be decoded is told apart and skipped.

The usual case is one pass of one decoder over many lines. Only a buffer that it refuses is
looked at line by line, and only a line that it refuses is taken apart: ERROR events and
bookmarks of unusual form, then objects that are really bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec

from scheduler.kube.answers import Status, status_of
from scheduler.kube.resources import Resource
from scheduler.model.objects import Base, Metadata

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark that ends the list part of a streaming list."""

T = TypeVar("T")


class WatchEvent(msgspec.Struct, Generic[T], gc=False):
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and its object."""

    type: str
    object: T


class ListHead(Base):
    """metadata of a list."""

    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class Page(msgspec.Struct, Generic[T], gc=False):
    """One page of a list."""

    metadata: ListHead
    items: list[T] | None = None


class Name(Base):
    """The least that names an object: what is read of one that cannot be decoded."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Named(Base):
    metadata: Name


class Listed(Base):
    """An object of any kind in `Resource.type`: they all have metadata."""

    metadata: Metadata


@dataclass(slots=True)
class Put:
    """An object was added or changed, or is in the list."""

    object: Listed


@dataclass(slots=True)
class Gone:
    """An object does not exist any more, or its selector does not hold any more."""

    object: Listed


@dataclass(slots=True)
class Bookmark:
    """Everything up to `version` has been sent; `listed`: that was the list part."""

    version: str
    listed: bool


@dataclass(slots=True)
class Failed:
    """The server gives up this watch."""

    status: Status


@dataclass(slots=True)
class Bad:
    """Something that cannot be decoded; `name` as far as it can be read.

    gone: it came with a DELETED event, so that the object that it names is gone all the same.
    """

    what: str
    name: Name | None = None
    gone: bool = False


Frame = Put | Gone | Bookmark | Failed | Bad


class Lines:
    """Cuts bytes that come in pieces into whole lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """All whole lines so far, and not yet returned, as one buffer; empty if there is none."""
        cut = data.rfind(b"\n") + 1
        if cut == 0:
            self._parts.append(data)
            return b""
        whole = data if cut == len(data) else data[:cut]
        if self._parts:
            self._parts.append(whole)
            whole = b"".join(self._parts)
            self._parts.clear()
        if cut < len(data):
            self._parts.append(data[cut:])
        return whole

    def clear(self) -> None:
        """Forgets a line that was cut off."""
        self._parts.clear()


class Frames:
    """Decoders of one resource, kept: building one costs more than using it."""

    def __init__(self, resource: Resource) -> None:
        self._kind = resource.kind
        kind = resource.type
        self._one = msgspec.json.Decoder(kind)
        self._page = msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]
        self._event = msgspec.json.Decoder(WatchEvent[kind])  # type: ignore[valid-type]
        self._raw_page = msgspec.json.Decoder(Page[msgspec.Raw])
        self._raw_event = msgspec.json.Decoder(WatchEvent[msgspec.Raw])

    def one(self, body: bytes) -> Put | Bad:
        """The object of a GET."""
        try:
            return Put(cast("Listed", self._one.decode(body)))
        except msgspec.MsgspecError as error:
            return self._bad(body, str(error))

    def page(self, body: bytes) -> tuple[ListHead, list[Put | Bad]]:
        """Head and items of a page of a list. Raises msgspec.MsgspecError if it is none."""
        try:
            page = cast("Page[Listed]", self._page.decode(body))
        except msgspec.MsgspecError:
            raw = self._raw_page.decode(body)
            return raw.metadata, [self.one(bytes(item)) for item in raw.items or ()]
        return page.metadata, [Put(item) for item in page.items or ()]

    def events(self, lines: bytes) -> list[Frame]:
        """What whole lines of a watch say, in order."""
        try:
            events = cast("list[WatchEvent[Listed]]", self._event.decode_lines(lines))
        except msgspec.MsgspecError:
            return self._line_by_line(lines)
        if any(event.type == "ERROR" for event in events):
            return self._line_by_line(lines)
        return [_frame(event) for event in events]

    def _line_by_line(self, lines: bytes) -> list[Frame]:
        return [self._line(line) for line in lines.split(b"\n") if line.strip()]

    def _line(self, line: bytes) -> Frame:
        try:
            event = cast("WatchEvent[Listed]", self._event.decode(line))
        except msgspec.MsgspecError as error:
            return self._taken_apart(line, str(error))
        # A Status can pass for an object of a kind of which nothing is required.
        return self._taken_apart(line, "") if event.type == "ERROR" else _frame(event)

    def _taken_apart(self, line: bytes, error: str) -> Frame:
        try:
            event = self._raw_event.decode(line)
        except msgspec.MsgspecError as worse:
            return Bad(f"a line of the watch of {self._kind}: {worse}")
        if event.type == "ERROR":
            return Failed(status_of(event.object) or Status(message="no status"))
        if event.type == "BOOKMARK":
            try:
                return _bookmark(msgspec.json.decode(event.object, type=Listed))
            except msgspec.MsgspecError as worse:
                return Bad(f"a bookmark: {worse}")
        return self._bad(event.object, error, gone=event.type == "DELETED")

    def _bad(self, body: bytes | msgspec.Raw, error: str, *, gone: bool = False) -> Bad:
        try:
            name = msgspec.json.decode(body, type=_Named).metadata
        except msgspec.MsgspecError:
            return Bad(f"{self._kind}: {error}", gone=gone)
        place = f"{name.namespace}/{name.name}" if name.namespace else name.name
        return Bad(f"{self._kind} {place}: {error}", name, gone=gone)


def _frame(event: WatchEvent[Listed]) -> Frame:
    if event.type in {"ADDED", "MODIFIED"}:
        return Put(event.object)
    if event.type == "DELETED":
        return Gone(event.object)
    if event.type == "BOOKMARK":
        return _bookmark(event.object)
    return Bad(f"an event of type {event.type[:40]!r}")


def _bookmark(found: Listed) -> Bookmark:
    notes = found.metadata.annotations or {}
    return Bookmark(found.metadata.resource_version, notes.get(INITIAL_EVENTS_END) == "true")
