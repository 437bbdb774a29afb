"""Muster's verdicts against those that kube-scheduler's own code gave when they were recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scheduler.verdicts import verdicts_of
from tests.verdicts.compare import Difference, differences, excuse
from tests.verdicts.corpus import CORPUS, LARGEST, read
from tests.verdicts.generate import AIMS, ALL
from tests.verdicts.world import Json

FILES = sorted(CORPUS.glob("*.jsonl.xz"))
SHOWN = 3
"""Differing cases that a failure tells about."""


def _told(case: Json, faults: list[Difference]) -> str:
    found = faults[0]
    ours, theirs = json.dumps(found.ours), json.dumps(found.theirs)
    return f"{case['id']} {found.node}: Muster {ours}, kube-scheduler {theirs}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".jsonl.xz"))
def test_recorded_verdicts_are_the_same(path: Path) -> None:
    """Plugin, code and reasons are kube-scheduler's for every pod and node of the corpus."""
    told = []
    for case, theirs in read(path):
        found = differences(verdicts_of(case), theirs)
        faults = [each for each in found if not excuse(case, each)]
        if faults:
            told.append(_told(case, faults))
    assert not told, "\n".join([f"{len(told)} cases differ, such as", *told[:SHOWN]])


def test_the_corpus_is_complete_and_small() -> None:
    """Every filter has its cases, and all together stay below 2 MiB."""
    assert {path.name.removesuffix(".jsonl.xz") for path in FILES} == {*AIMS, ALL}
    assert sum(path.stat().st_size for path in FILES) <= LARGEST
