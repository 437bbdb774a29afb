"""Gangs of several kinds of members go where exhaustive search says that they should."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from scheduler.model.plan import Verdict
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.ledger import Ledger
from scheduler.plan.mixed import place_mixed
from tests import builders
from tests.plan.exhaustive import RESOURCES, ZONE, Case, Truth, labels, level_of, random_case

CASES = int(os.environ.get("MUSTER_CASES", "20000"))
BATCHES = 20


def planned(case: Case) -> tuple[Snapshot, Outcome]:
    """The case as the planner sees it, and what it says."""
    text = " | ".join(f"{n.spine or '-'}/{n.leaf or '-'}: {n.name}" for n in case.nodes)
    shapes = {Shape(k.request, _selector(k.zone), tokens=k.tokens): None for k in case.kinds}
    number = {shape: i for i, shape in enumerate(shapes)}
    snapshot = builders.snapshot(
        text,
        resources=RESOURCES,
        allocatable={n.name: n.free for n in case.nodes},
        slots={n.name: n.slots for n in case.nodes},
        labels=labels(case),
        tokens={t: [n.name for n in case.nodes if t in n.taken] for t in "xy"},
        shapes=tuple(shapes),
    )
    members = [case.kinds[k] for k in case.member]
    spec = {
        "key": "g",
        "n": len(members),
        "shape": [number[Shape(k.request, _selector(k.zone), tokens=k.tokens)] for k in members],
        "min": case.minimum,
        "required": case.required,
        "preferred": case.preferred,
        "segment": (case.size, case.segment_level) if case.size else 0,
        "single": case.single,
        "pins": {j: k.pin for j, k in enumerate(members) if k.pin is not None},
    }
    if case.home is not None:
        value = dict(part.split("=") for part in case.home if part)
        of_level = [value.get(level) for level in builders.LEVELS]
        spec["home"] = next(
            d for d in range(snapshot.topology.domains) if _path(snapshot, d) == of_level
        )
    gang = Gang.of(builders.gangs(snapshot, [spec]), 0)
    ledger = Ledger(snapshot)
    before = ledger.free.copy()
    outcome = place_mixed(
        ledger, gang, np.arange(gang.n, dtype=np.int32), case.minimum, -1, 2_000_000
    )
    assert (ledger.free == before).all()
    return snapshot, outcome


def _selector(zone: str | None) -> tuple[tuple[str, str], ...]:
    return () if zone is None else ((ZONE, zone),)


def _path(snapshot: Snapshot, d: int) -> list[str | None]:
    """Value per level of domain d."""
    topology = snapshot.topology
    return [
        topology.names[a] if (a := topology.ancestor[lv, d]) >= 0 else None
        for lv in range(len(topology.levels))
    ]


def check(case: Case, seen: Counter[str]) -> None:
    """Asserts everything that must hold and counts the rest."""
    truth = Truth(case)
    most, permitted = truth.most()
    snapshot, outcome = planned(case)
    feasible = most >= case.minimum and most > 0
    if not feasible:
        assert outcome.verdict is not Verdict.FITS, case
        assert outcome.fit <= most, case
        seen["refused"] += 1
        seen["refused without proof"] += outcome.verdict is Verdict.NOT_FOUND
        seen["fit understated"] += outcome.fit < most
        return
    seen["feasible"] += 1
    assert outcome.verdict is not Verdict.DOES_NOT_FIT, f"a wrong proof: {case}"
    if outcome.verdict is Verdict.NOT_FOUND:
        seen["not found"] += 1
        return
    names = builders.names_of(snapshot, outcome.rows)
    assert not truth.faults(names, outcome.rows.size, permitted), (case, names)
    if outcome.rows.size < most:
        seen["fewer members"] += 1
        return
    domain, node = truth.choose(most, permitted)
    value = _path(snapshot, outcome.domain)
    got = [f"{lv}={v}" for lv, v in zip(builders.LEVELS, value, strict=True) if v is not None]
    one = len(set(names)) == 1
    seen["other domain"] += tuple(got) != domain or (node is not None) != one
    if node is not None and one:
        seen["other node"] += names[0] != node
    deepest = {n.name: n.path for n in case.nodes}
    if node is None and level_of(domain) < 1:
        least = truth.least_leaves(domain, most)
        used = len({deepest[name] for name in names})
        seen["leaves used"] += used
        seen["leaves least"] += least
        seen["spread"] += 1
        seen["spread over the least"] += used == least


@pytest.mark.parametrize("batch", range(BATCHES))
def test_placement_against_enumeration(
    batch: int, record_property: Callable[[str, int], None]
) -> None:
    """No wrong proof, every placement valid, and nothing feasible is missed."""
    rng = random.Random(f"mixed {batch}")
    seen: Counter[str] = Counter()
    for _ in range(CASES // BATCHES):
        check(random_case(rng), seen)
    for name, count in sorted(seen.items()):
        record_property(f"several shapes: {name}", count)
    # Both answers must be common enough for the counts to mean something.
    assert seen["feasible"] >= CASES // BATCHES // 8
    assert seen["refused"] >= CASES // BATCHES // 20
    assert seen["not found"] <= seen["feasible"] // 100
    assert seen["fewer members"] == 0
    assert seen["other domain"] == seen["other node"] == 0
    assert seen["leaves used"] <= 1.1 * seen["leaves least"] + 3
