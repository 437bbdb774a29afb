"""The sentence about a gang that waits, and the reason its pods carry."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.constraints import Taint
from scheduler.model.plan import Cause, Rejection
from scheduler.model.policy import Policy
from scheduler.model.reasons import PodReason, hold_text, pod_reason, sentence
from scheduler.model.snapshot import CORDONED
from scheduler.plan import plan
from tests import builders

AT_14_05 = (14 * 60 + 5) * 60 * 1_000_000
DAY = 24 * 3600 * 1_000_000

BEST = Rejection(
    wanted=128,
    minimum=128,
    fit=94,
    best_level="spine",
    best_path=("spine-3",),
    short_of="nvidia.com/gpu",
    nodes=1_000,
    excluded=(("taint gpu=reserved", 400), ("cordoned", 12)),
    blocked_by=("hold of team-a/train-b until 14:05",),
    required="spine",
)


def like(**changes: Any) -> Rejection:
    """BEST without the lists, and with changes."""
    values = {name: getattr(BEST, name) for name in Rejection.__slots__}
    return Rejection(**(values | {"excluded": (), "blocked_by": ()} | changes))


SENTENCES = {
    "all of it": (
        BEST,
        (
            "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu;"
            " 412 nodes excluded: 400 taint gpu=reserved, 12 cordoned;"
            " blocked by hold of team-a/train-b until 14:05"
        ),
    ),
    "no more than the domain": (
        like(),
        "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu",
    ),
    "a domain by its path": (
        like(best_level="leaf", best_path=("spine-3", "leaf-1"), required="leaf"),
        "94 of 128 fit; best leaf is spine-3/leaf-1 with 94, 34 short of nvidia.com/gpu",
    ),
    "short of what would make it worth starting": (
        like(minimum=100),
        (
            "94 of 128 fit, at least 100 must; best spine is spine-3 with 94,"
            " 6 short of nvidia.com/gpu"
        ),
    ),
    "the whole cluster": (
        like(best_level="cluster", best_path=(), required="", short_of="cpu"),
        "94 of 128 fit in the whole cluster, 34 short of cpu",
    ),
    "the whole cluster with a minimum": (
        like(best_level="cluster", best_path=(), required="", minimum=100),
        "94 of 128 fit in the whole cluster, at least 100 must, 6 short of nvidia.com/gpu",
    ),
    "no permitted domain": (
        like(fit=0, best_level="", best_path=(), excluded=(("no spine label", 7),)),
        (
            "0 of 128 fit; no domain is permitted: no node has a spine label;"
            " 7 nodes excluded: 7 no spine label"
        ),
    ),
    "one node is one": (
        like(excluded=(("cordoned", 1),)),
        (
            "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu;"
            " 1 node excluded: 1 cordoned"
        ),
    ),
    "many reasons": (
        like(excluded=tuple((f"taint t{i}", 9 - i) for i in range(5))),
        (
            "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu;"
            " 35 nodes excluded: 9 taint t0, 8 taint t1, 7 taint t2, 11 for 2 other reasons"
        ),
    ),
    "many blockers": (
        like(blocked_by=tuple(f"claim of {c}" for c in "abcdef")),
        (
            "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu;"
            " blocked by claim of a, claim of b, claim of c, 3 more"
        ),
    ),
    "not found is not a proof": (
        like(proved=False, fit=128),
        (
            "no place found within the search budget, but there may be one; 128 of 128 fit;"
            " best spine is spine-3 with 128"
        ),
    ),
}


@pytest.mark.parametrize(("rejection", "text"), SENTENCES.values(), ids=SENTENCES)
def test_sentence(rejection: Rejection, text: str) -> None:
    """Numbers, the best domain, what it is short of, who is excluded, who blocks."""
    assert sentence(rejection) == text


def test_hold_text_is_utc_to_the_minute() -> None:
    """The day does not show: a hold ends within hours."""
    assert hold_text("a/b", 20_000 * DAY + AT_14_05 + 59_000_000) == "hold of a/b until 14:05"


REASONS = {
    Cause.CAPACITY: PodReason.UNSCHEDULABLE,
    Cause.FRAGMENTATION: PodReason.UNSCHEDULABLE,
    Cause.TOPOLOGY: PodReason.TOPOLOGY_UNSATISFIED,
    Cause.ORDER: None,
    Cause.NONE: None,
}


@pytest.mark.parametrize("cause", Cause)
def test_pod_reason(cause: Cause) -> None:
    """Autoscalers hear of a gang for which a new node anywhere would help."""
    assert pod_reason(cause) is REASONS[cause]
    told = pod_reason(cause, autoscaler_domains=True)
    assert told is (PodReason.UNSCHEDULABLE if cause is Cause.TOPOLOGY else REASONS[cause])


HOLD = ("n1", 0, "ml/other", 0, AT_14_05)
TWO_SPINES = "s1: n1 n2 | s2: n3"

PLANNED: dict[str, tuple[str, dict[str, Any], dict[str, Any], Cause, str]] = {
    "too little": (
        TWO_SPINES, {"gpu": 2}, {"n": 7}, Cause.CAPACITY,
        "6 of 7 fit in the whole cluster, 1 short of nvidia.com/gpu",
    ),
    "enough in pieces too small": (
        TWO_SPINES, {"gpu": 3, "shapes": [(0, 0, 2)]}, {"n": 4}, Cause.FRAGMENTATION,
        "3 of 4 fit in the whole cluster, 1 short of nvidia.com/gpu",
    ),
    "enough, but not in one spine": (
        TWO_SPINES, {"gpu": 2}, {"n": 6, "required": "spine"}, Cause.TOPOLOGY,
        "4 of 6 fit; best spine is s1 with 4, 2 short of nvidia.com/gpu",
    ),
    "enough, but not in whole segments": (
        "s/l1: n1 | s/l2: n2", {"gpu": 3}, {"n": 6, "segment": 2}, Cause.TOPOLOGY,
        "4 of 6 fit in the whole cluster, 2 short of nvidia.com/gpu",
    ),
    "nodes left out, with and without label": (
        f"{TWO_SPINES} | : n4",
        {"gpu": 1, "flags": {"n1": CORDONED}, "taints": {"n2": [Taint("gpu", "reserved")]}},
        {"n": 2, "required": "spine"},
        Cause.TOPOLOGY,
        ("1 of 2 fit; best spine is s2 with 1, 1 short of nvidia.com/gpu;"
        " 3 nodes excluded: 1 cordoned, 1 no spine label, 1 taint gpu=reserved"),
    ),
    "no label anywhere": (
        ": n1", {}, {"n": 1, "required": "spine"}, Cause.TOPOLOGY,
        ("0 of 1 fit; no domain is permitted: no node has a spine label;"
        " 1 node excluded: 1 no spine label"),
    ),
    "a hold": (
        TWO_SPINES, {"gpu": 2, "holds": [HOLD]}, {"n": 4, "required": "spine"}, Cause.TOPOLOGY,
        ("3 of 4 fit; best spine is s1 with 3, 1 short of nvidia.com/gpu;"
        " blocked by hold of ml/other until 14:05"),
    ),
    "a hold whose end would not help": (
        TWO_SPINES, {"gpu": 2, "holds": [HOLD]}, {"n": 5, "required": "spine"}, Cause.TOPOLOGY,
        "3 of 5 fit; best spine is s1 with 3, 2 short of nvidia.com/gpu",
    ),
    "its own hold": (
        TWO_SPINES, {"gpu": 2, "holds": [("n1", 0, "a", 7, AT_14_05)]},
        {"n": 4, "required": "spine"}, Cause.TOPOLOGY,
        "3 of 4 fit; best spine is s1 with 3, 1 short of nvidia.com/gpu",
    ),
    "a claim": (
        TWO_SPINES, {"gpu": 2, "claims": [("s1", "ml/big", 0)]}, {"n": 4, "required": "spine"},
        Cause.TOPOLOGY,
        ("2 of 4 fit; best spine is s2 with 2, 2 short of nvidia.com/gpu;"
        " blocked by claim of ml/big"),
    ),
    "pod slots": (
        TWO_SPINES, {"slots": 1}, {"n": 4}, Cause.CAPACITY,
        "3 of 4 fit in the whole cluster, 1 short of pods",
    ),
    "one per node": (
        TWO_SPINES, {"shapes": [builders.shape(gpu=1, tokens=("disk:ebs/a",))]}, {"n": 4},
        Cause.CAPACITY,
        "3 of 4 fit in the whole cluster, 1 short of nodes",
    ),
    "held room counts": (
        "s: n1 n2", {"gpu": 1, "holds": [("n1", 0, "a", 0, 9)]}, {"n": 3, "held": {0: "n1"}},
        Cause.CAPACITY,
        "2 of 3 fit in the whole cluster, 1 short of nvidia.com/gpu",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", PLANNED.values(), ids=PLANNED)
def test_the_planner_fills_the_sentence(
    row: tuple[str, dict[str, Any], dict[str, Any], Cause, str],
) -> None:
    """Numbers and cause come from the cluster as the gang saw it."""
    cluster, more, gang, cause, text = row
    snap = builders.snapshot(cluster, **more)
    got = plan(snap, builders.gangs(snap, [{"key": "a", **gang}]), Policy(), 0)
    rejection = got.rejection[0]
    assert rejection is not None
    assert sentence(rejection) == text
    assert Cause(int(got.cause[0])) is cause


def test_gangs_alike_share_one_rejection() -> None:
    """10,000 likes of a gang that does not fit cost one set of numbers."""
    snap = builders.snapshot(TWO_SPINES, gpu=1)
    specs = [{"key": f"g{i}", "n": 3, "required": "spine"} for i in range(3)]
    got = plan(snap, builders.gangs(snap, [*specs, {"key": "z", "n": 4}]), Policy(), 0)
    assert got.rejection[0] is got.rejection[1] is got.rejection[2]
    assert got.rejection[3] is not got.rejection[0]


def test_members_whose_nodes_are_closed_to_them_are_what_is_short() -> None:
    """Not the GPUs that are free elsewhere: nobody else's node is of use to a pinned member."""
    snap = builders.snapshot("s1/l1: n1 n2 n3", flags={"n3": CORDONED})
    pending = builders.gangs(snap, [{"key": "g", "n": 2, "pins": {0: ["n1"], 1: ["n3"]}}])
    (refusal,) = plan(snap, pending, Policy(), 0).rejection
    assert refusal is not None
    assert refusal.short_of == "the nodes that members are pinned to"
    assert "1 short of the nodes that members are pinned to" in sentence(refusal)
