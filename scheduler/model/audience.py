"""Which pods a rule between pods means: selectors, namespaces, and the mark that names them.

An Audience is a set of pods that all its scopes match. Its `mark` is a text, equal for equal
audiences, under which pods are counted per node (see pod_rules.py); the text says all, so that
`meaning_of` gives the audience back. Source: plugins/podtopologyspread/common.go,
plugins/interpodaffinity, framework AffinityTerm (1.36).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from scheduler.model.constraints import Requirement

Labels = Mapping[str, str]

MEMBER_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "statefulset.kubernetes.io/pod-name",
        "batch.kubernetes.io/job-completion-index",
        "leaderworkerset.sigs.k8s.io/worker-index",
        "training.kubeflow.org/replica-index",
    }
)
"""Labels that are another for every member of one workload."""
SEEN = "seen:"
"""Begins the mark of an Audience."""
KEPT = "kept:"
"""Begins the mark of pods that carry a term."""


@dataclass(frozen=True, slots=True)
class Who:
    """What other pods' rules see of a pod."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    """Sorted."""
    leaving: bool = False
    """It is being deleted: spread does not count it, affinity does."""
    promised: bool = False
    """Another scheduler will place it where it counts already: nobody may rely on it being there,
    but its own anti-affinity keeps others away."""


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """The pods that one term means."""

    labels: tuple[Requirement, ...] | None
    """The label selector, matchLabels as `In` with one value; sorted. () = all, None = nobody."""
    namespaces: tuple[str, ...] = ()
    """Listed ones, sorted; the term owner's own where the term names none."""
    namespace_selector: tuple[Requirement, ...] | None = None
    """Over labels of namespaces; () = all namespaces, None = only those listed."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Pods that all of `scopes` match."""

    scopes: tuple[Scope, ...]
    leaving: bool = True
    """Whether pods that are being deleted count."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Pods that carry the required anti-affinity term (key, scope)."""

    key: str
    scope: Scope


Meaning = Audience | Carried


def who_of(
    namespace: str,
    labels: Labels | None,
    *,
    leaving: bool = False,
    promised: bool = False,
    hidden: Collection[str] = (),
) -> Who:
    """The Who of a pod; labels whose key is `hidden` are left out."""
    kept = (pair for pair in (labels or {}).items() if pair[0] not in hidden)
    return Who(namespace, tuple(sorted(kept)), leaving, promised)


def mark_of(meaning: Meaning) -> str:
    """The text that names these pods: equal for equal meanings, another for others."""
    kind = SEEN if isinstance(meaning, Audience) else KEPT
    return kind + msgspec.json.encode(meaning).decode()


def meaning_of(mark: str) -> Meaning:
    """What a mark made by `mark_of` means. Raises ValueError for any other text."""
    kind, text = mark[: len(SEEN)], mark[len(SEEN) :]
    try:
        if kind == SEEN:
            return msgspec.json.decode(text, type=Audience)
        if kind == KEPT:
            return msgspec.json.decode(text, type=Carried)
    except msgspec.DecodeError as error:
        raise ValueError(f"mark {mark!r}: {error}") from error
    raise ValueError(f"mark {mark!r} begins with neither {SEEN} nor {KEPT}")


def holds(
    requirements: tuple[Requirement, ...], labels: Labels, hidden: Collection[str] = ()
) -> bool:
    """Whether all requirements of a label selector hold; those on `hidden` keys always do."""
    return all(each.key in hidden or _holds(each, labels.get(each.key)) for each in requirements)


def _holds(requirement: Requirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def selects(
    scope: Scope,
    namespace: str,
    labels: Labels,
    namespace_labels: Labels,
    *,
    quirk: bool,
    hidden: Collection[str] = (),
) -> bool:
    """Whether a scope means the pod with `labels` in `namespace`.

    namespace_labels: of that namespace; empty where it is not known.
    quirk: of a term of the incoming pod, whose namespaceSelector kube-scheduler also asks
        against no labels at all: one of NotIn and DoesNotExist alone selects every namespace.
    hidden: keys that `labels` does not have although the pod may; requirements on them hold.
    """
    if scope.labels is None:
        return False
    if namespace not in scope.namespaces:
        asked = scope.namespace_selector
        if asked is None:
            return False
        if not (holds(asked, namespace_labels) or (quirk and holds(asked, {}))):
            return False
    return holds(scope.labels, labels, hidden)


def matches(
    audience: Audience, who: Who, namespace_labels: Labels, hidden: Collection[str] = ()
) -> bool:
    """Whether `who` is one of those that the incoming pod's terms or constraint mean."""
    if who.promised or (who.leaving and not audience.leaving):
        return False
    labels = dict(who.labels)
    return all(
        selects(scope, who.namespace, labels, namespace_labels, quirk=True, hidden=hidden)
        for scope in audience.scopes
    )


def repels(
    carried: Carried, who: Who, namespace_labels: Labels, hidden: Collection[str] = ()
) -> bool:
    """Whether the term of a pod that is there keeps the incoming pod `who` away."""
    return selects(
        carried.scope, who.namespace, dict(who.labels), namespace_labels,
        quirk=False, hidden=hidden,
    )  # fmt: skip


def keys_read(meaning: Meaning) -> set[str]:
    """Keys of pod labels on which it depends who is meant."""
    scopes = meaning.scopes if isinstance(meaning, Audience) else (meaning.scope,)
    return {each.key for scope in scopes for each in scope.labels or ()}


def reads_namespaces(meaning: Meaning) -> bool:
    """Whether labels of namespaces decide who is meant."""
    scopes = meaning.scopes if isinstance(meaning, Audience) else (meaning.scope,)
    return any(scope.namespace_selector for scope in scopes)
