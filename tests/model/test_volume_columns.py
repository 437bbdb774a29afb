"""The volume rules over columns equal kube-scheduler's rules for one node at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from scheduler.model.volumes.outcome import Code, Refusal
from scheduler.model.volumes.prefilter import admit
from scheduler.model.volumes.reference import There, answers
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import Mount, PodVolumes, Via
from scheduler.model.volumes.verdicts import VolumeFilters
from tests.model.volume_draw import NODES, Draw
from tests.model.volume_world import cluster, storage_of

WORLDS = 300


def compare(seed: int, seen: Counter[tuple[str, Code, int]]) -> None:
    """One cluster, several pods; `seen` counts what was answered."""
    draw = Draw(seed)
    storage = storage_of(draw.values())
    nodes = {name: draw.labels() for name in NODES}
    snap = cluster(nodes)
    users = [(row, draw.pod("u-q")) for row in range(4) for _ in range(draw.rng.randrange(2))]
    # Strangers' claims under a pod's own name stop NodeVolumeLimits; not on every node.
    users = [
        (row, each if row == 0 else replace(each, mounts=_without_errors(each, storage)))
        for row, each in users
    ]
    filters = VolumeFilters(storage, Users(snap.names, users, storage), snap)
    used = frozenset((each.namespace, name) for _, each in users for name in each.claims)
    for pod in (draw.pod("u-p") for _ in range(4)):
        answer, claims = filters.verdicts(pod), admit(pod, storage)
        if isinstance(claims, Refusal):
            assert answer.refused == claims
            seen[claims.plugin, claims.code, 0] += 1
            continue
        for row, (name, labels) in enumerate(nodes.items()):
            there = There(name, labels, [each for at, each in users if at == row], used)
            wanted = [each for each in answers(pod, claims, storage, there) if each is not None]
            rows = [verdict.outcomes[verdict.codes[row]] for verdict in answer.verdicts]
            assert [each for each in rows if each is not None] == wanted, seed
            for verdict in answer.verdicts:
                outcome = verdict.outcomes[verdict.codes[row]]
                if outcome is not None:
                    seen[verdict.plugin, outcome.code, len(outcome.reasons)] += 1


def _without_errors(pod: PodVolumes, storage: Storage) -> tuple[Mount, ...]:
    own = storage.claims.get(("ns", "p-v"))
    return tuple(
        each
        for each in pod.mounts
        if not (each.in_tree is not None and each.in_tree.problem)
        and not (each.via is Via.EPHEMERAL and own is not None and own.controller != pod.uid)
    )


@pytest.mark.parametrize("part", range(4))
def test_columns_equal_the_rule_for_one_node(part: int) -> None:
    """On each node, each plugin answers what the plain rule answers, texts and codes."""
    seen: Counter[tuple[str, Code, int]] = Counter()
    for seed in range(part * WORLDS, (part + 1) * WORLDS):
        compare(seed, seen)
    often = {what for what, times in seen.items() if times >= 5}
    assert often >= {
        ("VolumeRestrictions", Code.UNRESOLVABLE, 0),
        ("VolumeBinding", Code.UNRESOLVABLE, 0),
        ("VolumeZone", Code.UNRESOLVABLE, 0),
        ("VolumeRestrictions", Code.UNSCHEDULABLE, 1),
        ("NodeVolumeLimits", Code.UNSCHEDULABLE, 1),
        ("NodeVolumeLimits", Code.ERROR, 1),
        ("VolumeBinding", Code.UNRESOLVABLE, 1),
        ("VolumeBinding", Code.UNRESOLVABLE, 2),
        ("VolumeBinding", Code.ERROR, 1),
        ("VolumeZone", Code.UNRESOLVABLE, 1),
    }
