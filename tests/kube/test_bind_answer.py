"""What each answer to a bind means; the words are a real API server's (1.36)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scheduler.kube import bind_answer
from scheduler.kube.batch import Batch, Outcome
from scheduler.kube.bind_answer import BOUND, Meaning, Then
from scheduler.kube.bind_request import BindRequests
from scheduler.kube.transport import Response
from tests.kube.bind_server import Pod, as_object, batch, refusal

START = 'Operation cannot be fulfilled on pods/binding "t-0": '
ASSIGNED = START + 'pod t-0 is already assigned to node "n-1"'
OTHER_UID = START + "Precondition failed: UID in precondition: a, UID in object meta: b"
DELETED = START + "pod t-0 is being deleted, cannot be assigned to a host"
GATED = START + "pod t-0 has non-empty .spec.schedulingGates"
MODIFIED = START + "the object has been modified; please apply your changes to the latest version"


def conflict(words: str) -> Response:
    return refusal(409, "Conflict", words)


SETTLED = {
    "201": (Response(201), Outcome.BOUND),
    "assigned to our node": (conflict(ASSIGNED), Outcome.BOUND),
    "another UID": (conflict(OTHER_UID), Outcome.GONE),
    "being deleted": (conflict(DELETED), Outcome.GONE),
    "gates": (conflict(GATED), Outcome.GATED),
    "no such pod": (refusal(404, "NotFound", 'pods "t-0" not found'), Outcome.GONE),
    "404 without words": (Response(404), Outcome.GONE),
    "400": (refusal(400, "BadRequest", "name in URL does not match"), Outcome.REFUSED),
    "403": (refusal(403, "Forbidden", "cannot create resource"), Outcome.REFUSED),
    "422": (refusal(422, "Invalid", "is invalid"), Outcome.REFUSED),
}
"""Answers that settle a bind to n-1 of which nothing is in doubt."""


@pytest.mark.parametrize(("response", "outcome"), SETTLED.values(), ids=SETTLED)
def test_what_settles_a_bind(response: Response, outcome: Outcome) -> None:
    """Certain answers settle at once, with the server's words if it refused."""
    meaning = bind_answer.of_bind(response, "n-1", doubt=False)
    assert (meaning.then, meaning.outcome) == (Then.SETTLE, outcome)
    assert bool(meaning.text) == (outcome is not Outcome.BOUND)


@pytest.mark.parametrize("name", ["being deleted", "gates", "400", "403", "422"])
def test_a_refusal_does_not_undo_a_try_in_doubt(name: str) -> None:
    """If an earlier try may have bound the pod, a refusal of this one must be checked by a read."""
    response, _ = SETTLED[name]
    assert bind_answer.of_bind(response, "n-1", doubt=True).then is Then.READ


@pytest.mark.parametrize("name", ["201", "assigned to our node", "another UID", "no such pod"])
def test_some_answers_end_all_doubt(name: str) -> None:
    """A node is never changed, a UID never comes back: an earlier try makes no difference."""
    response, outcome = SETTLED[name]
    meaning = bind_answer.of_bind(response, "n-1", doubt=True)
    assert (meaning.then, meaning.outcome) == (Then.SETTLE, outcome)


def test_elsewhere_names_the_node() -> None:
    """The node is taken from the message; it is ours only if it is exactly ours."""
    meaning = bind_answer.of_bind(conflict(ASSIGNED), "n-11", doubt=False)
    assert (meaning.outcome, meaning.node) == (Outcome.ELSEWHERE, "n-1")
    assert "already assigned" in meaning.text


OPEN = {
    "other conflict": (conflict(MODIFIED), Then.READ, False),
    "conflict without words": (Response(409, b"\xff"), Then.READ, False),
    "429": (refusal(429, "TooManyRequests", "slow"), Then.SLOWER, False),
    "401": (refusal(401, "Unauthorized", "Unauthorized"), Then.LATER, True),
    "not sent": (Response(0, error="connection refused", sent=False), Then.LATER, True),
    "time-out": (Response(0, error="timed out"), Then.AGAIN, True),
    "503": (refusal(503, "ServiceUnavailable", "away"), Then.AGAIN, True),
    "500": (refusal(500, "", "target.name: Required value"), Then.AGAIN, False),
    "408": (Response(408), Then.AGAIN, False),
    "302": (Response(302), Then.AGAIN, False),
    "a proxy's 404": (Response(404, b"<html>nothing here</html>"), Then.AGAIN, False),
}
"""name -> answer, what follows, whether the server was reached."""


@pytest.mark.parametrize(("response", "then", "away"), OPEN.values(), ids=OPEN)
def test_what_leaves_a_bind_open(response: Response, then: Then, away: bool) -> None:
    """Answers that tell nothing for certain, and whether others must expect the same."""
    meaning = bind_answer.of_bind(response, "n-1", doubt=False)
    assert (meaning.then, meaning.away) == (then, away)
    assert meaning.text


READS = {
    "bound by us": (Pod("t-0", "u", node="n-1"), BOUND),
    "bound and leaving": (Pod("t-0", "u", node="n-1", deleting=True), BOUND),
    "elsewhere": (Pod("t-0", "u", node="n-2"), Outcome.ELSEWHERE),
    "another": (Pod("t-0", "v", node="n-1"), Outcome.GONE),
    "leaving": (Pod("t-0", "u", deleting=True), Outcome.GONE),
    "gated": (Pod("t-0", "u", gates=("wait",)), Outcome.GATED),
}


@pytest.mark.parametrize(("pod", "expected"), READS.values(), ids=READS)
def test_what_a_read_tells(pod: Pod, expected: Meaning | Outcome) -> None:
    """The pod with our UID decides: its node, its deletion, its gates."""
    response = Response(200, json.dumps(as_object(pod)).encode())
    meaning = bind_answer.of_read(response, "u", "n-1")
    outcome = expected.outcome if isinstance(expected, Meaning) else expected
    assert (meaning.then, meaning.outcome) == (Then.SETTLE, outcome)


def test_a_read_that_tells_nothing() -> None:
    """An untouched pod is FREE; an answer that cannot be understood is asked for again."""
    free = Response(200, json.dumps(as_object(Pod("t-0", "u"))).encode())
    assert bind_answer.of_read(free, "u", "n-1").then is Then.FREE
    gone = refusal(404, "NotFound", "")
    assert bind_answer.of_read(gone, "u", "n-1").outcome is Outcome.GONE
    for response in (Response(200, b"{"), Response(200, b"[]"), Response(503), Response(0)):
        assert bind_answer.of_read(response, "u", "n-1").then is Then.AGAIN


def test_requests_say_what_the_contract_says() -> None:
    """Name, UID, node and the three annotations; the server ends it when we give up."""
    requests = BindRequests(batch("train", ["t-0", "t-1"], nodes=["n-7", "n-8"]), 4_000_000)
    request = requests.bind(1)
    assert request.method == "POST"
    assert request.path == "/api/v1/namespaces/ns/pods/t-1/binding?timeout=4000ms"
    assert request.timeout_us == 4_000_000
    assert json.loads(request.body) == {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": "t-1",
            "namespace": "ns",
            "uid": "uid-t-1",
            "annotations": {
                "muster.dev/placed-gang": "ns/StatefulSet/train",
                "muster.dev/placed-domain": "spine-1/leaf-2",
                "muster.dev/placed-rank": "1",
            },
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n-8"},
    }
    read = requests.read(0)
    assert (read.method, read.path) == ("GET", "/api/v1/namespaces/ns/pods/t-0")


def test_hostile_names_stay_names() -> None:
    """Quotes, slashes and other letters neither break the JSON nor lead to another path."""
    name, node, domain = 'a/../b?c#d" é', 'n"\\', 'sp"ine\n/ü'
    made = Batch("k", "n/s", [name], ['u"'], [node], np.array([-3], np.int32), 'g"', domain)
    request = BindRequests(made, 1_000).bind(0)
    assert request.path == (
        "/api/v1/namespaces/n%2Fs/pods/a%2F..%2Fb%3Fc%23d%22%20%C3%A9/binding?timeout=1ms"
    )
    body = json.loads(request.body)
    assert body["metadata"]["name"] == name
    assert body["metadata"]["annotations"]["muster.dev/placed-domain"] == domain
    assert body["metadata"]["annotations"]["muster.dev/placed-rank"] == "-3"
    assert body["target"]["name"] == node
