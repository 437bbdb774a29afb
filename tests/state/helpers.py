"""A small cache and short ways to say what happens to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.policy import Policy
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.nodes import Level, NodeSpec
from tests.builders import parse_cluster

LEVELS = (Level("spine", "net/spine"), Level("leaf", "net/leaf"))
ONE_GPU = Shape((0, 0, 1))
GREEDY = Policy()


def i32(*values: int) -> I32:
    return np.array(values, np.int32)


def spec(name: str, path: tuple[str | None, ...] = (), gpu: int = 4, **rest: Any) -> NodeSpec:
    """A node with `gpu` devices at a place in the tree."""
    labels = {lv.label: v for lv, v in zip(LEVELS, path, strict=False) if v is not None}
    return NodeSpec(name, (64, 64, gpu), labels={**labels, **rest.pop("labels", {})}, **rest)


def cache_of(text: str, gpu: int = 4, **options: Any) -> Cache:
    """The cluster drawn in `text` (see tests/builders.py); shape 0 asks for one GPU."""
    cache = Cache(ResourceOrder(("cpu", "memory", GPU)), LEVELS, **options)
    for name, path in parse_cluster(text).items():
        cache.upsert_node(spec(name, path, gpu))
    assert cache.shape(ONE_GPU) == 0
    return cache


def gang(key: str, n: int, minimum: int | None = None, **rest: Any) -> Entry:
    """An entry of `n` members of shape 0."""
    fields: dict[str, Any] = {"shape": 0, "name": key, "minimum": minimum or n, **rest}
    return Entry(key=key, count=n, **fields)


def run(cache: Cache, key: str, rows: I32, ranks: I32 | None = None) -> None:
    """The members of a waiting gang are assumed on `rows` and seen there."""
    cache.assume(key, rows, 0, i32(*range(len(rows))) if ranks is None else ranks)
    cache.confirm(key)


def free_gpus(cache: Cache, now: int = 0) -> dict[str, int]:
    """Node -> free GPUs in a snapshot taken now."""
    snap = cache.freeze(now)
    return dict(zip(snap.names, snap.free[2].tolist(), strict=True))


def waiting(cache: Cache, now: int = 0, policy: Policy = GREEDY) -> list[str]:
    """Gangs worth trying now."""
    return sorted(cache.pending(now, cache.freeze(now), policy).key)
