"""What the answer to a bind, or to the read of a pod, means. Pure.

A bind is settled by what the server says for certain: 201; 409 because the pod has a node, which
never changes again; 404 and another UID, which never come back. Everything else is certain only
if no earlier try can still land (`doubt`): then a read decides, made when the request time-out has
passed since the last such try.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from scheduler.kube.answers import said, status_of
from scheduler.kube.batch import Outcome
from scheduler.kube.transport import NO_ANSWER, Response
from scheduler.model.pod_objects import PodObject

_assigned = re.compile(r'is already assigned to node "([^"]+)"').search
_decode_pod = msgspec.json.Decoder(PodObject).decode


class Then(Enum):
    """What is to be done after an answer."""

    SETTLE = auto()
    SLOWER = auto()
    """429: not done; the server asks for patience."""
    LATER = auto()
    """Certainly not done, and nothing can be done now: no connection, or no valid credentials."""
    AGAIN = auto()
    """Unknown: it may have been done, or be done yet. The same bind again (or the same read)."""
    READ = auto()
    """The pod itself must tell."""
    FREE = auto()
    """A read found the pod as it was: no node, not being deleted, no gates."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """`outcome` is only set to SETTLE. text: the server's words; empty for BOUND.

    away: the server did not get as far as to work on it; others will fare alike.
    """

    then: Then
    outcome: Outcome = Outcome.DROPPED
    text: str = ""
    node: str = ""
    away: bool = False


BOUND = Meaning(Then.SETTLE, Outcome.BOUND)


def of_bind(response: Response, node: str, *, doubt: bool) -> Meaning:
    """The meaning of the answer to a Binding to `node`.

    doubt: an earlier try of this bind may have been done, or may still be.
    """
    match response.status:
        case 200 | 201:
            return BOUND
        case 409:
            return _conflict(response, node, doubt=doubt)
        case 404 if _is_from_the_api(response):
            return Meaning(Then.SETTLE, Outcome.GONE, said(response))
        case status if 400 <= status < 500 and status not in {401, 404, 408, 429}:
            return _unless(Outcome.REFUSED, response, doubt=doubt)
    return _not_now(response)


def of_read(response: Response, uid: str, node: str) -> Meaning:
    """The meaning of a read of the pod with `uid` that was to be bound to `node`.

    FREE, and GATED without a node, hold only if no bind can land after the read.
    """
    if response.status == 404 and _is_from_the_api(response):
        return Meaning(Then.SETTLE, Outcome.GONE, said(response))
    if response.status != 200:
        return _not_now(response)
    try:
        pod = _decode_pod(response.body)
    except msgspec.DecodeError as error:
        return Meaning(Then.AGAIN, text=f"the pod cannot be read: {error}")
    if pod.metadata.uid != uid:
        return Meaning(
            Then.SETTLE, Outcome.GONE, f"there is another pod of that name, {pod.metadata.uid}"
        )
    if pod.spec.node_name:
        return _on(pod.spec.node_name, node, "found")
    if pod.metadata.deletion_timestamp is not None:
        return Meaning(Then.SETTLE, Outcome.GONE, "it is being deleted")
    if pod.spec.scheduling_gates:
        return Meaning(Then.SETTLE, Outcome.GATED, "it has scheduling gates")
    return Meaning(Then.FREE)


def _conflict(response: Response, node: str, *, doubt: bool) -> Meaning:
    status = status_of(response.body)
    words = (status.message if status else None) or ""
    if assigned := _assigned(words):
        return _on(assigned[1], node, said(response))
    if "UID in precondition" in words:
        return Meaning(Then.SETTLE, Outcome.GONE, said(response))
    if "is being deleted" in words:
        return _unless(Outcome.GONE, response, doubt=doubt)
    if "schedulingGates" in words:
        return _unless(Outcome.GATED, response, doubt=doubt)
    return Meaning(Then.READ, text=said(response))


def _on(there: str, wanted: str, text: str) -> Meaning:
    if there == wanted:
        return BOUND
    return Meaning(Then.SETTLE, Outcome.ELSEWHERE, text, there)


def _unless(outcome: Outcome, response: Response, *, doubt: bool) -> Meaning:
    """This try came to nothing; one that came before may have succeeded."""
    then = Then.READ if doubt else Then.SETTLE
    return Meaning(then, outcome, said(response))


def _not_now(response: Response) -> Meaning:
    """An answer that settles nothing, of a bind or of a read."""
    text, status = said(response), response.status
    if status == 429:
        return Meaning(Then.SLOWER, text=text)
    if status == 401 or (status == NO_ANSWER and not response.sent):
        return Meaning(Then.LATER, text=text, away=True)
    return Meaning(Then.AGAIN, text=text, away=status in {NO_ANSWER, 502, 503, 504})


def _is_from_the_api(response: Response) -> bool:
    """A proxy that lost its way answers 404 too, with a page of its own."""
    status = status_of(response.body)
    return not response.body or (status is not None and status.reason == "NotFound")
