"""Which pods a selector means, whichever side asks; and the texts that name them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.audience import (
    Audience,
    Carried,
    Scope,
    Who,
    keys_read,
    mark_of,
    matches,
    meaning_of,
    reads_namespaces,
    repels,
    who_of,
)
from scheduler.model.constraints import Requirement

requirements = st.builds(
    Requirement,
    st.sampled_from(("app", "tier")),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.lists(st.sampled_from(("a", 'b"]}', "", "é")), max_size=2).map(tuple),
)
selectors = st.none() | st.lists(requirements, max_size=2).map(tuple)
scopes = st.builds(
    Scope, selectors, st.lists(st.sampled_from(("ns", "x")), max_size=2).map(tuple), selectors
)
meanings: st.SearchStrategy[Any] = st.builds(
    Audience, st.lists(scopes, max_size=2).map(tuple), st.booleans()
) | st.builds(Carried, st.sampled_from(("zone", "host")), scopes)


@given(one=meanings, other=meanings)
def test_a_mark_says_all_that_it_means(one: Any, other: Any) -> None:
    """It can be read back, and two are equal exactly if they mean the same."""
    assert meaning_of(mark_of(one)) == one
    assert (mark_of(one) == mark_of(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "app=a", "seen:", "seen:{}", "kept:[1]", "other:{}"])
def test_a_text_that_is_no_mark_is_refused(text: str) -> None:
    """Instead of being taken for pods that nobody meant."""
    with pytest.raises(ValueError, match="mark"):
        meaning_of(text)


def need(key: str, operator: str, *values: str) -> Requirement:
    return Requirement(key, operator, values)


APP_A = (need("app", "In", "a"),)
POD = Who("ns", (("app", "a"), ("tier", "db")))


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        (None, False),
        ((), True),
        (APP_A, True),
        ((need("app", "In", "b", "a"),), True),
        ((need("app", "In", "b"),), False),
        ((need("app", "NotIn", "b"),), True),
        ((need("app", "NotIn", "a"),), False),
        ((need("zone", "NotIn", "a"),), True),
        ((need("app", "Exists"),), True),
        ((need("zone", "Exists"),), False),
        ((need("app", "DoesNotExist"),), False),
        ((need("zone", "DoesNotExist"),), True),
        ((*APP_A, need("zone", "Exists")), False),
    ],
)
def test_label_selectors(selector: tuple[Requirement, ...] | None, meant: bool) -> None:
    """Null means nobody, an empty one everybody; what is not there is not in any list."""
    scope = Scope(selector, ("ns",))
    assert matches(Audience((scope,)), POD, {}) is meant
    assert repels(Carried("host", scope), POD, {}) is meant


@pytest.mark.parametrize(
    ("listed", "selector", "labels", "incoming", "existing"),
    [
        (("ns",), None, {}, True, True),
        (("x",), None, {}, False, False),
        ((), (), {}, True, True),
        ((), (need("team", "In", "a"),), {"team": "a"}, True, True),
        ((), (need("team", "In", "a"),), {"team": "b"}, False, False),
        ((), (need("team", "In", "a"),), {}, False, False),
        (("ns",), (need("team", "In", "a"),), {}, True, True),
        # Only the incoming pod's selectors are also asked against no labels at all.
        ((), (need("team", "NotIn", "a"),), {"team": "a"}, True, False),
        ((), (need("team", "DoesNotExist"),), {"team": "a"}, True, False),
        ((), (need("team", "DoesNotExist"), need("x", "Exists")), {"team": "a"}, False, False),
        ((), (need("team", "NotIn", "a"),), {"team": "b"}, True, True),
    ],
)
def test_namespaces(
    listed: tuple[str, ...], selector: tuple[Requirement, ...] | None, labels: dict[str, str],
    incoming: bool, existing: bool,
) -> None:  # fmt: skip
    """Listed, or selected by the labels of the namespace; with kube-scheduler's own quirk."""
    scope = Scope((), listed, selector)
    assert matches(Audience((scope,)), POD, labels) is incoming
    assert repels(Carried("host", scope), POD, labels) is existing
    assert reads_namespaces(Audience((scope,))) is bool(selector)


def test_all_scopes_must_match() -> None:
    """A pod that one of two affinity terms means does not count."""
    two = (Scope(APP_A, ("ns",)), Scope((need("tier", "In", "web"),), ("ns",)))
    assert matches(Audience(two[:1]), POD, {})
    assert not matches(Audience(two), POD, {})


def test_pods_that_are_leaving_count_for_affinity_alone() -> None:
    """Spread leaves them out."""
    leaving = who_of("ns", {"app": "a"}, leaving=True)
    scope = (Scope(APP_A, ("ns",)),)
    assert matches(Audience(scope), leaving, {})
    assert not matches(Audience(scope, leaving=False), leaving, {})


def test_hidden_labels_are_left_out_and_taken_to_match() -> None:
    """A term on a label that nobody kept may mean the pod: never is it bound wrongly."""
    hidden = frozenset({"index"})
    who = who_of("ns", {"index": "7", "app": "a"}, hidden=hidden)
    assert who.labels == (("app", "a"),)
    carried = Carried("host", Scope((*APP_A, need("index", "In", "3")), ("ns",)))
    assert repels(carried, who, {}, hidden)
    assert not repels(carried, who, {})
    assert not repels(carried, Who("ns", (("app", "b"),)), {}, hidden)
    assert keys_read(carried) == {"app", "index"}
