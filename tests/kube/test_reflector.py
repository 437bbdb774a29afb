"""The list/watch state machine: which request comes next, and what the sink is told."""

from __future__ import annotations

import pytest

from scheduler.kube.reflector import LARGEST_PAGE, LIVED_US, Mode
from scheduler.kube.resources import NODES, PODS, PRIORITY_CLASSES, X_POD_GROUPS
from scheduler.model.objects import Metadata
from tests.kube.model_server import bookmark, line, status
from tests.kube.reflector_client import SECOND_US, Client, as_listed, page, pod


def test_first_request_is_a_streaming_list() -> None:
    """It carries the selector, asks for bookmarks, and sets a random end in 5 to 10 minutes."""
    query = Client().ask()
    assert query.pop("timeoutSeconds") in map(str, range(300, 601))
    assert query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed",
    }


def test_streaming_list_goes_on_as_a_watch() -> None:
    """After initial-events-end the sink is in step, and the same stream brings changes."""
    client = Client()
    client.listed(100, pod("u1", 90), pod("u2", 50, "a/y"))
    assert client.hear(line("MODIFIED", pod("u1", 101).json()))
    assert client.hear(line("DELETED", pod("u2", 102, "a/y").json()))
    assert client.sink.log == [
        "put a/x u1 90", "put a/y u2 50", "synced Pod", "put a/x u1 101", "gone u2",
    ]  # fmt: skip
    assert client.reflector.objects == 1
    client.end()
    assert client.ask()["resourceVersion"] == "102"


def test_bookmark_keeps_the_version() -> None:
    """A watch is resumed from the last bookmark, and one that lies behind changes nothing."""
    client = Client()
    client.listed()
    assert client.hear(bookmark(150), bookmark(120))
    client.end(error="reset")
    assert client.ask()["resourceVersion"] == "150"


@pytest.mark.parametrize("code", [400, 404, 422])
def test_server_without_streaming_lists_is_asked_for_pages(code: int) -> None:
    """At once, 500 at a time, until there is no continue token; then the watch begins."""
    client = Client()
    client.ask()
    client.end(code, status(code, "Invalid"))
    assert client.ask()["limit"] == "500"
    client.end(200, page(100, pod("u1", 9), token="t=+/"))
    assert client.ask()["continue"] == "t=+/"
    assert client.sink.syncs == 0
    client.end(200, page(100, pod("u2", 8, "a/y")))
    assert client.sink.log == ["put a/x u1 9", "put a/y u2 8", "synced Pod"]
    query = client.ask()
    assert (query["resourceVersion"], client.reflector.mode) == ("100", Mode.WATCH)


def test_refused_parameter_is_not_tried_again() -> None:
    """A server that refuses streaming lists is relisted by pages; 404 says nothing about them."""
    for code, expected in ((422, Mode.LIST_PAGES), (404, Mode.LIST_STREAM)):
        client = Client()
        client.ask()
        client.end(code)
        client.ask()
        client.end(200, page(100))
        client.ask()
        client.hear(bookmark(101))
        client.end(410)
        client.ask()
        assert client.reflector.mode is expected


def test_list_whose_end_never_comes_is_read_by_pages() -> None:
    """Two streaming lists break off; what they showed is not shown again, and nothing is lost."""
    client = Client()
    for _ in range(2):
        client.ask()
        client.hear(line("ADDED", pod("u1", 9).json()))
        client.end(error="nothing came for 180 s")
        client.past_wait()
    assert client.ask()["limit"] == "500"
    client.end(200, page(100, pod("u1", 9), pod("u2", 8, "a/y")))
    assert client.sink.log == ["put a/x u1 9", "put a/y u2 8", "synced Pod"]


def test_ordinary_bookmark_before_the_end_of_a_list_means_pages() -> None:
    """A server that ignores sendInitialEvents would never end the list: pages are asked for."""
    client = Client()
    client.ask()
    assert not client.hear(bookmark(100), line("ADDED", pod("u9", 101).json()))
    client.end()
    assert client.reflector.failures == 0
    assert client.ask()["limit"] == "500"


def test_expired_token_begins_anew_with_larger_pages() -> None:
    """410 on continue: from the first page; in the end the list is asked for in one piece."""
    client = Client()
    client.ask()
    client.end(422)
    limits = []
    while "limit" in (query := client.ask()):
        limits.append(int(query["limit"]))
        client.end(200, page(100, pod("u1", 9), token="t"))
        assert client.ask()["continue"] == "t"
        client.end(410)
    assert limits[:2] == [500, 2000]
    assert limits[-1] <= LARGEST_PAGE
    client.end(200, page(100, pod("u1", 9)))
    assert client.sink.log == ["put a/x u1 9", "synced Pod"]


def test_object_deleted_while_pages_begin_anew_is_gone() -> None:
    """What an abandoned list has shown counts as before: the next list must name it again."""
    client = Client()
    client.ask()
    client.end(422)
    client.ask()
    client.end(200, page(100, pod("u1", 9), token="t"))
    client.ask()
    client.end(410)
    client.ask()
    client.end(200, page(110))
    assert client.sink.log == ["put a/x u1 9", "gone u1", "synced Pod"]


@pytest.mark.parametrize("as_event", [False, True])
def test_expired_version_is_listed_anew_and_compared(as_event: bool) -> None:
    """410: what vanished is gone, what is new or newer is put, what stayed is not said again."""
    client = Client()
    client.listed(100, pod("u1", 9), pod("u2", 8, "a/y"), pod("u3", 7, "a/z"))
    client.hear(bookmark(101))
    if as_event:
        assert not client.hear(line("ERROR", status(410, "Expired")))
        client.end()
    else:
        client.end(410, status(410, "Expired"))
    client.sink.log.clear()
    client.listed(120, pod("u2", 8, "a/y"), pod("u3", 115, "a/z"), pod("u4", 119, "a/w"))
    assert client.sink.log == ["put a/z u3 115", "put a/w u4 119", "gone u1", "synced Pod"]


def test_expiry_is_noticed_in_kinds_that_a_status_could_pass_for() -> None:
    """A Status decodes as a PriorityClass, of which nothing is required; it is none."""
    client = Client(PRIORITY_CLASSES)
    client.ask()
    client.hear(bookmark(100, end=True))
    assert not client.hear(line("ERROR", status(410, "Expired")))
    client.end()
    client.past_wait()
    assert "sendInitialEvents" in client.ask()


def test_version_that_expires_at_once_each_time_is_not_listed_in_a_loop() -> None:
    """List, 410, list, 410: pauses double until a watch is of use."""
    client = Client()
    client.listed()
    pauses = []
    for _ in range(6):
        client.end(410)
        pauses.append(client.waits_us())
        client.past_wait()
        client.listed()
    assert pauses[5] > 8 * pauses[0]
    client.hear(bookmark(130))
    client.end(410)
    assert client.ask()["sendInitialEvents"] == "true"


def test_recreated_object_replaces_the_old_one() -> None:
    """Found by a relist under the same name: the old UID is gone before the new one is put."""
    client = Client()
    client.listed(100, pod("u1", 9))
    client.hear(bookmark(101))
    client.end(410)
    client.listed(120, pod("u2", 110))
    assert client.sink.log[-3:] == ["gone u1", "put a/x u2 110", "synced Pod"]


def test_past_of_an_object_is_not_shown() -> None:
    """Older versions, older incarnations and their deletion, in a list or in a watch."""
    client = Client()
    client.listed(100, pod("u5", 50))
    client.hear(bookmark(101))
    client.end(410)
    client.ask()
    client.hear(line("ADDED", pod("u5", 49).json()), line("ADDED", pod("u4", 30).json()))
    client.hear(line("DELETED", pod("u4", 60).json()), line("DELETED", pod("u5", 20).json()))
    client.hear(line("ADDED", pod("u4", 30, odd=True).json()), bookmark(120, end=True))
    assert client.sink.log == ["put a/x u5 50", "synced Pod", "bad Pod", "synced Pod"]
    client.hear(line("ADDED", pod("u6", 119, "a/y").json()))
    assert len(client.sink.log) == 4, "a watch has passed this version"


def test_server_that_counts_from_lower_is_believed_after_a_second_list() -> None:
    """A store restored from a copy: versions cannot be compared, the content of the list holds."""
    client = Client()
    client.listed(1000, pod("u1", 900), pod("u2", 800, "a/y"), pod("u3", 700, "a/z"))
    client.hear(bookmark(1001))
    client.end(410)
    client.ask()
    changed = [pod("u1", 300), pod("u9", 310, "a/y"), pod("u3", 700, "a/z")]
    added = [line("ADDED", thing.json()) for thing in changed]
    assert not client.hear(*added, bookmark(400, end=True))
    client.end()
    assert client.sink.syncs == 1
    client.sink._newest.clear()
    client.ask()
    assert client.hear(*added, bookmark(401, end=True))
    assert client.sink.view == {"a/x": ("u1", 300), "a/y": ("u9", 310), "a/z": ("u3", 700)}
    assert client.sink.syncs == 2


def test_undecodable_object_is_told_and_keeps_its_place() -> None:
    """It is named; what was shown before stands; its deletion, or another UID, still counts."""
    client = Client()
    client.listed(100, pod("u1", 9), pod("u2", 8, "a/y"), pod("u3", 7, "a/z"))
    client.hear(
        line("MODIFIED", pod("u1", 101, odd=True).json()),
        line("DELETED", pod("u2", 102, "a/y", odd=True).json()),
        line("ADDED", pod("u7", 103, "a/z", odd=True).json()),
    )
    assert client.sink.log[4:] == ["bad Pod", "bad Pod", "gone u2", "bad Pod", "gone u3"]
    assert client.sink.complaints[0].startswith("Pod a/x: Expected `array | null`")
    client.end(410)
    client.listed(120, pod("u1", 101, odd=True))
    assert client.sink.view == {"a/x": ("u1", 9)}
    client.hear(line("MODIFIED", pod("u1", 121).json()))
    assert client.sink.view == {"a/x": ("u1", 121)}


def test_garbage_is_told_and_skipped() -> None:
    """A line that is no JSON, an unknown event, an object without a name: the watch goes on."""
    client = Client()
    client.listed()
    nameless = line("ADDED", {"metadata": {"resourceVersion": "101"}})
    assert client.hear(b"{oh no\n", line("SURPRISE", {"metadata": {}}), nameless)
    assert client.hear(line("ADDED", pod("u1", 102).json()))
    assert client.sink.log == ["synced Pod", "bad Pod", "bad Pod", "bad Pod", "put a/x u1 102"]


def test_cut_line_is_dropped() -> None:
    """A stream that ends within a line leaves nothing to the next one."""
    client = Client()
    client.listed()
    client.hear(line("ADDED", pod("u1", 101).json()), line("ADDED", pod("u2", 102).json())[:30])
    client.end(error="reset")
    assert client.ask()["resourceVersion"] == "101"
    client.hear(line("ADDED", pod("u2", 102, "a/y").json()))
    assert client.sink.log[1:] == ["put a/x u1 101", "put a/y u2 102"]


def test_failures_wait_longer_and_longer() -> None:
    """Doubling with jitter up to half a minute, told in one sentence, forgotten on success."""
    client = Client()
    pauses = []
    for _ in range(12):
        client.ask()
        client.end(0, error="Connection refused")
        pauses.append(client.waits_us())
        client.past_wait()
    assert pauses[0] <= 750_000
    assert 15 * SECOND_US <= pauses[-1] <= 45 * SECOND_US
    assert (client.reflector.failures, client.reflector.error) == (12, "Connection refused")
    client.listed()
    assert (client.reflector.failures, client.reflector.error) == (0, "")
    client.end(503, status(503, "ServiceUnavailable"))
    assert client.waits_us() <= 750_000


def test_server_is_obeyed_when_it_asks_to_wait() -> None:
    """Retry-After of a 429 is the least pause."""
    client = Client()
    client.ask()
    client.end(429, status(429, "TooManyRequests"), retry_after_us=20 * SECOND_US)
    assert client.waits_us() == 20 * SECOND_US


def test_refusal_is_said_in_the_servers_words() -> None:
    """What RBAC forbids is read in /readyz as the server says it."""
    client = Client()
    client.ask()
    client.end(403, {"code": 403, "message": "pods is forbidden: User x cannot list"})
    assert client.reflector.error == "403: pods is forbidden: User x cannot list"


def test_quiet_watch_that_is_closed_is_resumed_at_once() -> None:
    """Unless it had only just begun: a server that closes all at once is not hammered."""
    client = Client()
    client.listed()
    client.end()
    client.past_wait()
    client.ask()
    client.now_us += LIVED_US
    client.end()
    assert client.ask()["resourceVersion"] == "100"
    client.end()
    assert client.waits_us() > 0
    assert client.reflector.error == "the watch was closed early"


def test_version_that_is_refused_again_and_again_is_given_up() -> None:
    """ERROR events other than 410, and answers like 504, lead to a list after the third."""
    client = Client()
    client.listed()
    client.hear(bookmark(101))
    client.end()
    for _ in range(3):
        assert client.ask()["resourceVersion"] == "101"
        client.hear(line("ERROR", status(504, "Timeout")))
        client.end()
        client.past_wait()
    assert "sendInitialEvents" in client.ask()


def test_outage_does_not_give_the_version_up() -> None:
    """However long nobody answers: the watch is resumed where it was."""
    client = Client()
    client.listed()
    for code in (0, 0, 503, 0, 429, 401, 403, 0):
        client.end(code, error="no answer")
        client.past_wait()
        assert client.ask()["resourceVersion"] == "100"


def test_object_read_by_itself_is_learnt_only_ahead_of_the_watch() -> None:
    """What the watch has passed is known, or was deleted since: it is not shown again."""
    client = Client(NODES)
    client.ask()
    client.hear(bookmark(100, end=True))
    kind = NODES.type
    old = kind(metadata=Metadata(name="n", uid="u1", resource_version="99"))
    new = kind(metadata=Metadata(name="n", uid="u1", resource_version="105"))
    for obj in (old, new, new):
        client.reflector.learn(as_listed(obj))
    assert client.sink.log == ["synced Node", "put /n u1 105"]
    pods = Client(PODS)
    pods.listed()
    found = PODS.type(metadata=Metadata(name="n", uid="u1", resource_version="105"))
    pods.reflector.learn(as_listed(found))
    assert pods.sink.log == ["synced Pod"]


def test_kind_that_vanishes_takes_its_objects_along() -> None:
    """All are gone; if it is served again the list begins from nothing."""
    client = Client(X_POD_GROUPS)
    client.ask()
    client.hear(line("ADDED", {"metadata": pod("u1", 9).json()["metadata"]}))
    client.hear(bookmark(100, end=True))
    client.end(404)
    client.past_wait()
    client.ask()
    client.end(404)
    client.past_wait()
    client.ask()
    client.end(404)
    assert client.reflector.absent
    client.reflector.vanish()
    assert client.sink.log[-1] == "gone u1"
    assert not client.reflector.is_synced
    assert (client.reflector.failures, client.reflector.error) == (0, "")
    client.past_wait()
    assert "sendInitialEvents" in client.ask()
