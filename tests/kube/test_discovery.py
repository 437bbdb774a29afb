"""Optional kinds: served or not, now or later."""

from __future__ import annotations

import json
from random import Random

import pytest

from scheduler.kube.discovery import AGAIN_US, Discovery
from scheduler.kube.resources import LEADER_WORKER_SETS, PODS, X_POD_GROUPS
from scheduler.kube.transport import Response

GROUPS = X_POD_GROUPS.group_path


def served(*plurals: str) -> Response:
    """An APIResourceList."""
    body = {"kind": "APIResourceList", "resources": [{"name": name} for name in plurals]}
    return Response(200, json.dumps(body).encode())


def fresh() -> Discovery:
    """Nothing asked yet."""
    return Discovery([PODS, X_POD_GROUPS, LEADER_WORKER_SETS], Random(1))


def test_only_optional_groups_are_asked_about() -> None:
    """Each once until it is answered; kinds that every server has are taken for granted."""
    found = fresh()
    assert found.due(0) == [GROUPS, LEADER_WORKER_SETS.group_path]
    assert found.due(0) == []
    assert found.next_us() is None
    assert found.served(PODS) is True
    assert found.served(X_POD_GROUPS) is None


def test_kind_that_comes_and_goes() -> None:
    """Changes are told once; the group is asked about again after a minute."""
    found = fresh()
    found.due(0)
    assert found.answer(GROUPS, Response(404), 10) == [X_POD_GROUPS]
    assert found.served(X_POD_GROUPS) is False
    assert found.next_us() == 10 + AGAIN_US
    for plurals, changed, state in (
        (("other",), [], False),
        (("podgroups", "podgroups/status"), [X_POD_GROUPS], True),
        (("podgroups",), [], True),
        ((), [X_POD_GROUPS], False),
    ):
        assert found.due(10**12) == [GROUPS]
        assert found.answer(GROUPS, served(*plurals), 0) == changed
        assert found.served(X_POD_GROUPS) is state


@pytest.mark.parametrize(
    "answer", [Response(0, error="reset"), Response(503), Response(200, b"<html>"), Response(429)]
)
def test_answer_that_says_nothing_changes_nothing(answer: Response) -> None:
    """It is asked again soon, and the reason is kept."""
    found = fresh()
    found.due(0)
    found.answer(GROUPS, served("podgroups"), 0)
    found.due(10**12)
    assert found.answer(GROUPS, answer, 0) == []
    assert found.served(X_POD_GROUPS) is True
    assert found.error
    due = found.next_us()
    assert due is not None
    assert 0 < due < AGAIN_US


def test_who_may_not_ask_does_not_wait_for_ever() -> None:
    """403: not served for us, and why is kept."""
    found = fresh()
    found.due(0)
    assert found.answer(GROUPS, Response(403), 0) == [X_POD_GROUPS]
    assert found.served(X_POD_GROUPS) is False
    assert found.error == "403"


def test_doubt_is_cleared_at_once() -> None:
    """A list that was answered 404 does not wait for the minute to pass."""
    found = fresh()
    found.due(0)
    found.answer(GROUPS, served("podgroups"), 0)
    found.hurry(X_POD_GROUPS)
    assert found.due(1) == [GROUPS]
