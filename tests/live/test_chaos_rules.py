"""Whatever happens between cycles, no bind breaks a rule and nobody waits in vain.

    MUSTER_CHAOS=500 [MUSTER_SEED=1000] python -m pytest tests/live/test_chaos_rules.py

plays so many histories, each about a third of a second; one that fails says its seed.
"""

from __future__ import annotations

import os

import pytest

from scheduler.state import kinds
from tests.live.chaos import Chaos

HISTORIES = int(os.environ.get("MUSTER_CHAOS", "60"))
FIRST = int(os.environ.get("MUSTER_SEED", "0"))
STEPS = 30
PARTS = 4
LEAST_BINDS = 3
"""Per history, so that the judge has something to say."""


def played(seed: int) -> int:
    """Binds of one history."""
    chaos = Chaos(seed)
    chaos.play(STEPS)
    assert not chaos.wrong, (seed, chaos.wrong, chaos.log[-30:])
    return chaos.bound


@pytest.mark.parametrize("part", range(PARTS))
def test_binds_keep_the_rules_and_nobody_waits_in_vain(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bind passes every default filter at its moment; whoever has a place gets it.

    In one part of the histories kinds of pods are forgotten as soon as they may be.
    """
    if part == 0:
        monkeypatch.setattr(kinds, "SWEEP_AT", -(10**9))
    seeds = range(FIRST + part, FIRST + HISTORIES, PARTS)
    assert sum(map(played, seeds)) >= LEAST_BINDS * len(seeds)
