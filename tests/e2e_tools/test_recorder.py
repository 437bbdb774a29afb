"""The recorder of watch histories: resumes, relists, and never hides that it lost something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.api import ApiError
from e2e.watch import Recorder


def pod(uid: str, version: int, node: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": uid, "namespace": "ns", "uid": uid, "resourceVersion": str(version)},
        "spec": {"nodeName": node},
    }


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode()


EXPIRED = event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})
# What a real API server sends: a pod that is none.
BOOKMARK = event("BOOKMARK", {"metadata": {"resourceVersion": "9"}, "spec": {"containers": None}})


class ScriptedApi:
    """Lists and watches of pods as a script says; nodes: none. The last watch never ends."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[Any]) -> None:
        self.lists, self.watches = lists, watches
        self.resumed_at: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        """The next list."""
        items = self.lists.pop(0) if path.endswith("/pods") else []
        return {"metadata": {"resourceVersion": "5"}, "items": items}

    def watch(self, path: str, **query: str) -> ScriptedStream:
        """The next watch, or its refusal."""
        if not path.endswith("/pods") or not self.watches:
            return ScriptedStream([], self)
        self.resumed_at.append(query["resourceVersion"])
        lines = self.watches.pop(0)
        if isinstance(lines, ApiError):
            raise lines
        return ScriptedStream(lines, None)


class ScriptedStream:
    """Ends after its lines, unless it is the last one: that waits to be stopped."""

    def __init__(self, lines: list[bytes], last: ScriptedApi | None) -> None:
        self.lines, self.last, self.stopped = lines, last, False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.lines
        while self.last and not self.stopped:
            yield event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})

    def stop(self) -> None:
        """Ends the last one."""
        self.stopped = True


def recorded(api: ScriptedApi, until: str) -> Recorder:
    """The history up to the pod `until`."""
    recorder = Recorder(api).start()  # type: ignore[arg-type]
    try:
        recorder.wait_for("the end", lambda: "" if until in recorder.pods else "waiting", 20)
    finally:
        recorder.stop()
    return recorder


def kinds(recorder: Recorder) -> list[tuple[str, str]]:
    return [(change.type, change.item.metadata.uid) for change in recorder.changes]


def test_an_ended_stream_is_resumed_where_it_was() -> None:
    """The next watch begins at the last version seen, a bookmark's too; nothing is a gap."""
    api = ScriptedApi(
        [[pod("a", 1)]],
        [[event("MODIFIED", pod("a", 6, "n1")), BOOKMARK], [event("ADDED", pod("b", 10))]],
    )
    recorder = recorded(api, "b")
    assert kinds(recorder) == [("ADDED", "a"), ("MODIFIED", "a"), ("ADDED", "b")]
    assert api.resumed_at == ["5", "9"]
    assert recorder.gaps == []


@pytest.mark.parametrize("gone", [[EXPIRED], ApiError(410, "Expired", "too old")])
def test_an_expired_watch_leaves_a_gap(gone: Any) -> None:
    """After a 410, as an event or as a status, a new list shows what went and what came."""
    recorder = recorded(ScriptedApi([[pod("a", 1)], [pod("b", 7)]], [gone]), "b")
    assert kinds(recorder) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    assert recorder.gaps == ["pods: 410 Expired: too old"]


def test_what_cannot_be_read_is_a_gap() -> None:
    """A line that is no event does not end the recording in silence."""
    recorder = recorded(ScriptedApi([[], [pod("b", 7)]], [[b"{"]]), "b")
    assert len(recorder.gaps) == 1


def test_a_waiter_says_what_was_missing() -> None:
    """The message of a time-out is what a reader of the failure needs."""
    recorder = Recorder(ScriptedApi([], []))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="5 pods: after 0 s still 2 exist"):
        recorder.wait_for("5 pods", lambda: "2 exist", 0)
