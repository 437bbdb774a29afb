"""What a pod says about nodes: taints, tolerations, selector requirements. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """Effects of a taint. PreferNoSchedule is a score in kube-scheduler, never a filter."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


@dataclass(frozen=True, slots=True, order=True)
class Taint:
    """One taint of a node; `effect` is kept as written, unknown effects filter nothing."""

    key: str
    value: str = ""
    effect: str = Effect.NO_SCHEDULE


@dataclass(frozen=True, slots=True, order=True)
class Toleration:
    """One toleration of a pod. Empty `key` and `effect` match all; see `filters/taints.py`."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """`key operator values`: In, NotIn, Exists, DoesNotExist, Gt, Lt (node affinity)."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """One node selector term: all expressions and all fields must hold."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()
