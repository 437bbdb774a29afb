"""Events: their shape, series instead of repeats, bounds, and what may be lost."""

from __future__ import annotations

import json
from typing import Any

from scheduler.kube.events import LONGEST_NOTE, SERIES_BOUND, URGENT_BOUND, Event, Events
from scheduler.kube.writes import Ended, Write
from scheduler.state.gang_view import OwnerRef

NOW = 1_800_000_000_000_000
MINUTE = 60_000_000


class Book(Events):
    """Events that count what they drop."""

    def __init__(self, rate: int = 50) -> None:
        self.lost = 0
        super().__init__("muster", "muster-host", rate, self._lose)

    def _lose(self, count: int) -> None:
        self.lost += count


def about(name: str = "train") -> OwnerRef:
    """A StatefulSet."""
    return OwnerRef("apps/v1", "StatefulSet", "ml", name, f"uid-{name}")


def pending(note: str = "3 of 4 fit", name: str = "train") -> Event:
    """A gang waits."""
    return Event(about(name), "Warning", "GangPending", "Scheduling", note, NOW)


def sent(book: Events, now_us: int = NOW) -> Write:
    """The next one; there must be one."""
    write = book.next(now_us)
    assert write is not None
    return write


def body(write: Write) -> dict[str, Any]:
    """Its JSON."""
    value: dict[str, Any] = json.loads(write.request.body)
    return value


def test_an_event_has_every_field_that_the_api_asks_for() -> None:
    """events.k8s.io/v1, named as upstream names them."""
    book = Book()
    book.say(pending())
    write = sent(book)
    assert write.request.method == "POST"
    assert write.request.path == "/apis/events.k8s.io/v1/namespaces/ml/events"
    assert body(write) == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"train.{NOW * 1_000:x}", "namespace": "ml"},
        "eventTime": "2027-01-15T08:00:00.000000Z",
        "reportingController": "muster",
        "reportingInstance": "muster-host",
        "action": "Scheduling",
        "reason": "GangPending",
        "regarding": {
            "kind": "StatefulSet", "name": "train", "namespace": "ml", "uid": "uid-train",
            "apiVersion": "apps/v1",
        },
        "note": "3 of 4 fit",
        "type": "Warning",
    }  # fmt: skip


def test_the_same_words_again_become_a_series() -> None:
    """Other words are another event: a note cannot be changed."""
    book = Book()
    book.say(pending())
    first = sent(book)
    first.done(Ended.DONE, b"")
    for count in (2, 3):
        book.say(pending())
        again = sent(book, NOW + MINUTE)
        assert again.request.method == "PATCH"
        assert again.request.path.endswith("/events/" + body(first)["metadata"]["name"])
        series = {"count": count, "lastObservedTime": "2027-01-15T08:01:00.000000Z"}
        assert body(again) == {"series": series}
        again.done(Ended.DONE, b"")
    book.say(pending("2 of 4 fit"))
    assert sent(book).request.method == "POST"


def test_a_series_that_the_server_has_forgotten_starts_anew() -> None:
    """404 to the patch: the event is created again, under another name."""
    book = Book()
    book.say(pending())
    sent(book).done(Ended.DONE, b"")
    book.say(pending())
    sent(book).done(Ended.GONE, b"")
    write = sent(book)
    assert write.request.method == "POST"
    assert book.lost == 0


def test_names_never_repeat() -> None:
    """Two events of one object in one microsecond, and one whose name is taken."""
    book = Book()
    book.say(pending())
    book.say(Event(about(), "Normal", "GangPlaced", "Binding", "4 of 4", NOW))
    first, second = sent(book), sent(book)
    second.done(Ended.EXISTS, b"")
    third = sent(book)
    names = {body(write)["metadata"]["name"] for write in (first, second, third)}
    assert len(names) == 3


def test_a_newer_word_takes_the_place_of_an_unsent_one() -> None:
    """The API server is away: what is sent afterwards is what is true, once."""
    book = Book()
    for fit in range(60):
        book.say(pending(f"{fit} of 99 fit"))
    assert body(sent(book))["note"] == "59 of 99 fit"
    assert book.next(NOW) is None


def test_what_fails_is_tried_a_few_times() -> None:
    """Then it is dropped and counted; a refusal is dropped at once."""
    book = Book()
    book.say(pending())
    tries = 0
    while (write := book.next(NOW)) is not None:
        tries += 1
        write.done(Ended.AGAIN, b"")
    assert (tries, book.lost) == (5, 1)
    book.say(pending())
    sent(book).done(Ended.REFUSED, b"")
    assert (book.next(NOW), book.lost) == (None, 2)


def test_the_queue_of_owners_is_bounded() -> None:
    """The oldest is lost, and counted."""
    book = Book()
    for i in range(URGENT_BOUND + 3):
        book.say(pending(name=f"train{i}"))
    assert book.lost == 3
    assert body(sent(book))["regarding"]["name"] == "train3"


def test_known_events_are_forgotten_oldest_first() -> None:
    """A cluster of many gangs does not fill the memory."""
    book = Book()
    for i in range(SERIES_BOUND + 1):
        book.say(pending(name=f"train{i}"))
        sent(book).done(Ended.DONE, b"")
    for name, method in (("train0", "POST"), ("train2", "PATCH")):
        book.say(pending(name=name))
        assert sent(book).request.method == method


def test_long_texts_are_cut_to_what_the_server_takes() -> None:
    """Bytes, not characters, and never inside one; names leave room for the time."""
    book = Book()
    book.say(pending("ä" * 1_000, name="n" * 253))
    event = body(sent(book))
    assert len(event["note"].encode()) <= LONGEST_NOTE
    assert event["note"].endswith("ä...")
    assert len(event["metadata"]["name"]) <= 253


def test_an_object_without_namespace_speaks_in_default() -> None:
    """Nodes."""
    book = Book()
    book.say(Event(OwnerRef("v1", "Node", "", "n1", "U"), "Warning", "X", "Reading", "n", NOW))
    write = sent(book)
    assert "/namespaces/default/" in write.request.path
    assert "namespace" not in body(write)["regarding"]


def pod_event() -> Event:
    """A pod was scheduled."""
    pod = OwnerRef("v1", "Pod", "ml", "a-0", "U")
    return Event(pod, "Normal", "Scheduled", "Binding", "assigned", NOW)


def test_pod_events_keep_to_their_rate_and_catch_up_with_nothing() -> None:
    """One per interval, also after a long pause."""
    book = Book(rate=2)
    for _ in range(5):
        book.say_quietly(pod_event)
    assert book.next_pod(NOW) is not None
    assert book.next_pod(NOW) is None
    assert book.next_pod_us() == NOW + 500_000
    assert book.next_pod(NOW + 500_000) is not None
    assert book.next_pod(NOW + MINUTE) is not None
    assert book.next_pod(NOW + MINUTE) is None
    assert book.pods_waiting == 2


def test_pod_events_at_a_high_rate_go_in_bunches() -> None:
    """Two bunches a second, so that the loop is not woken for each: 50 a second are 25 at once."""
    book = Book(rate=50)
    for _ in range(60):
        book.say_quietly(pod_event)
    assert [book.next_pod(NOW) is not None for _ in range(26)] == [True] * 25 + [False]
    later = NOW + 25 * 20_000
    assert book.next_pod_us() == later
    assert book.next_pod(later - 1) is None
    assert [book.next_pod(later) is not None for _ in range(26)] == [True] * 25 + [False]


def test_pod_events_that_are_not_true_any_more_take_no_turn() -> None:
    """The pod is gone: the next one goes instead."""
    book = Book()
    book.say_quietly(lambda: None)
    book.say_quietly(pod_event)
    assert book.next_pod(NOW) is not None
    assert book.lost == 0


def test_pod_events_can_be_switched_off() -> None:
    """Rate 0: nothing is kept and nothing counts as lost."""
    book = Book(rate=0)
    book.say_quietly(pod_event)
    assert (book.next_pod(NOW), book.next_pod_us(), book.lost) == (None, None, 0)


def test_a_pod_event_that_fails_is_lost() -> None:
    """It is not worth a second request."""
    book = Book()
    book.say_quietly(pod_event)
    write = book.next_pod(NOW)
    assert write is not None
    write.done(Ended.AGAIN, b"")
    assert book.lost == 1
    assert book.pods_waiting == 0


def test_a_failed_event_does_not_come_back_over_a_newer_one() -> None:
    """The newer words are what is true."""
    book = Book()
    book.say(pending("old"))
    failing = sent(book)
    book.say(pending("new"))
    failing.done(Ended.AGAIN, b"")
    assert body(sent(book))["note"] == "new"
    assert book.next(NOW) is None
