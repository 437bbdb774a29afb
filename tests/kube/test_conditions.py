"""Conditions on pods: what a patch looks like, and who is told what how often."""

from __future__ import annotations

import json

from scheduler.kube.conditions import (
    GANG_PLACED,
    POD_SCHEDULED,
    Placed,
    PlacedConditions,
    WaitingConditions,
    patch,
)
from scheduler.kube.writes import Ended, Write
from scheduler.state.gang_view import Members

NOW = 1_800_000_000_000_000


def members(*names: str) -> Members:
    """Pods of namespace ml; the UID is the name in capitals."""
    return Members("ml", names, [name.upper() for name in names])


def told(write: Write) -> tuple[str, str]:
    """(pod, message) of a patch."""
    condition = json.loads(write.request.body)["status"]["conditions"][0]
    return write.request.path.split("/")[-2], condition["message"]


def drain(book: WaitingConditions, ended: Ended = Ended.DONE) -> list[tuple[str, str]]:
    """Everything that is sent, each answered at once."""
    sent = []
    while (write := book.next(NOW)) is not None:
        sent.append(told(write))
        write.done(ended, b"{}")
    return sent


def tell(book: WaitingConditions, who: Members, reason: str = "Unschedulable") -> list[int]:
    """Rank 0 hears numbers, the others `short`."""
    return book.tell("g", reason, "short", "3 of 4", who, (), NOW)


def test_a_patch_names_the_pod_it_means() -> None:
    """Path, UID, one condition; the API server merges it by its type."""
    request = patch(
        "ml", "a-0", "U", POD_SCHEDULED, status=False, reason="Unschedulable", message="no room",
        changed_us=NOW, generation=3,
    )  # fmt: skip
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/ml/pods/a-0/status"
    assert request.content_type == "application/strategic-merge-patch+json"
    assert json.loads(request.body) == {
        "metadata": {"uid": "U"},
        "status": {
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "no room",
                    "lastTransitionTime": "2027-01-15T08:00:00Z",
                    "observedGeneration": 3,
                }
            ]
        },
    }


def test_what_is_not_known_or_has_not_changed_is_left_out() -> None:
    """No time without a transition, no generation that nobody looked at; null takes away."""
    request = patch(
        "ml", "a-0", "U", POD_SCHEDULED, status=True, reason=None, message=None, changed_us=None
    )
    (condition,) = json.loads(request.body)["status"]["conditions"]
    assert condition == {"type": "PodScheduled", "status": "True", "reason": None, "message": None}


def test_everybody_is_told_once() -> None:
    """Lowest rank first; who was told is not told again, whoever comes later is."""
    book = WaitingConditions()
    assert tell(book, members("a", "b")) == [0, 1]
    assert drain(book) == [("a", "3 of 4"), ("b", "short")]
    assert tell(book, members("a", "b", "c")) == [2]
    assert drain(book) == [("c", "short")]
    assert tell(book, members("a", "c")) == []
    assert book.quiet


def test_who_is_about_to_be_told_is_not_queued_twice() -> None:
    """A gang that is looked at during its pass adds only those who are new."""
    book = WaitingConditions()
    tell(book, members("a", "b", "c"))
    assert book.next(NOW) is not None
    assert tell(book, members("a", "b", "c", "d")) == [3]
    assert drain(book) == [("b", "short"), ("c", "short"), ("d", "short")]


def test_another_reason_ends_the_pass() -> None:
    """What was not sent of the old one never is."""
    book = WaitingConditions()
    tell(book, members("a", "b"))
    first = book.next(NOW)
    tell(book, members("a", "b"), "TopologyUnsatisfied")
    assert first is not None
    first.done(Ended.AGAIN, b"")
    sent = drain(book)
    assert sent == [("a", "3 of 4"), ("b", "short")]
    assert book.reason("g") == "TopologyUnsatisfied"


def test_a_hushed_gang_waits_while_others_are_told() -> None:
    """Nothing of it is lost; a patch that failed meanwhile waits with the others."""
    book = WaitingConditions()
    tell(book, members("a", "b"))
    book.tell("h", "Unschedulable", "short", "n", members("x"), (), NOW)
    first = book.next(NOW)
    book.hush("g")
    assert first is not None
    first.done(Ended.AGAIN, b"")
    assert drain(book) == [("x", "n")]
    assert book.quiet
    book.resume("g")
    assert drain(book) == [("a", "3 of 4"), ("b", "short")]


def test_a_gang_that_is_forgotten_while_hushed_stays_silent() -> None:
    """Its members have their nodes."""
    book = WaitingConditions()
    tell(book, members("a", "b"))
    book.hush("g")
    book.forget("g")
    book.resume("g")
    assert drain(book) == []
    assert len(book) == 0


def test_numbers_go_to_one_pod() -> None:
    """The lowest rank that waits, without a new time of transition."""
    book = WaitingConditions()
    tell(book, members("a", "b"))
    drain(book)
    book.renumber("g", "2 of 4", "ml", "b", "B")
    write = book.next(NOW)
    assert write is not None
    assert told(write) == ("b", "2 of 4")
    assert b"lastTransitionTime" not in write.request.body


def test_what_the_watch_showed_is_believed_only_of_pods_not_written_to() -> None:
    """A stale picture of a pod that was told something else since must not silence it."""
    book = WaitingConditions()
    shown = ["Unschedulable", ""]
    assert book.tell("g", "Unschedulable", "s", "n", members("a", "b"), shown, NOW) == [1]
    drain(book)
    both = ["TopologyUnsatisfied"] * 2
    assert book.tell("g", "TopologyUnsatisfied", "s", "n", members("a", "b"), both, NOW) == [0, 1]


def test_an_answer_that_is_no_pod_is_no_reason_to_fail() -> None:
    """A proxy may answer 200 with anything."""
    book = WaitingConditions()
    tell(book, members("a"))
    write = book.next(NOW)
    assert write is not None
    write.done(Ended.DONE, b"<html>")
    assert book.quiet


def placed(uid: str = "A", *, whole: bool = True) -> Placed:
    """The condition on one pod."""
    return Placed("ml", uid.lower(), uid, whole, "GangPlaced", "4 of 4 on s1")


def test_placed_is_written_when_the_pod_or_the_status_changes() -> None:
    """Other words alone are not worth a write."""
    book = PlacedConditions()
    book.say("g", placed())
    write = book.next(NOW)
    assert write is not None
    (condition,) = json.loads(write.request.body)["status"]["conditions"]
    assert (condition["type"], condition["status"]) == (GANG_PLACED, "True")
    book.say("g", Placed("ml", "a", "A", True, "GangPlaced", "other words"))
    assert book.next(NOW) is None
    book.say("g", placed(whole=False))
    assert book.next(NOW) is not None
    book.say("g", placed("B", whole=False))
    assert book.next(NOW) is not None


def test_of_several_unsent_words_only_the_last_is_sent() -> None:
    """And one that failed does not come back over a newer one."""
    book = PlacedConditions()
    book.say("g", placed())
    failing = book.next(NOW)
    book.say("g", placed("B"))
    assert failing is not None
    failing.done(Ended.AGAIN, b"")
    write = book.next(NOW)
    assert write is not None
    assert "/pods/b/" in write.request.path
    write.done(Ended.AGAIN, b"")
    again = book.next(NOW)
    assert again is not None
    assert again.request == write.request
    assert book.next(NOW) is None


def test_what_a_former_process_wrote_is_not_written_again() -> None:
    """Until it changes."""
    book = PlacedConditions()
    book.found("g", placed())
    book.say("g", placed())
    assert book.quiet
    book.forget("g")
    assert book.said("g") is None
