"""`muster plan`: one cycle over a trace or a snapshot, a verdict and a sentence for each gang."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler import cli
from scheduler.errors import NotFoundError
from scheduler.replay.importers.kubectl import import_kubectl
from scheduler.replay.plan_once import plan_once
from scheduler.replay.snapshot_dir import write_snapshot
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import write_trace
from tests.replay.test_import_kubectl import containers, node, pod, save, stateful_set
from tests.replay.test_simulate import four_nodes, make

NODES = [node(f"n{i}", f"s{1 + i // 2}", f"l{i}") for i in range(4)]


def trace_dir(tmp_path: Path) -> Path:
    """Two spines of two nodes; two gangs that fill them, one that comes too late."""
    gangs = ["a 2 8 0 5", "b 2 8 1 5 required=spine", "c 1 8 2 5"]
    trace: Trace = make(tmp_path / "hand", four_nodes(), gangs)
    write_trace(trace, tmp_path / "trace")
    return tmp_path / "trace"


def snapshot_dir(tmp_path: Path, *items: Any) -> Path:
    """A cluster of two spines of two nodes and these objects."""
    found = import_kubectl(save(tmp_path, *NODES, *items))
    write_snapshot(found.trace, found.cluster, tmp_path / "snapshot")
    return tmp_path / "snapshot"


def members(name: str, wanted: int, there: int, **requests: str) -> list[Any]:
    """A StatefulSet that must share a spine, and the first of its pods."""
    asks = containers(**requests)
    pods = [pod(f"{name}-{rank}", f"StatefulSet/{name}", asks) for rank in range(there)]
    return [stateful_set(name, wanted, asks), *pods]


def test_all_gangs_of_a_trace_wait_at_once(tmp_path: Path) -> None:
    """A trace is an empty cluster: first come first placed, the last finds nothing."""
    rows = plan_once(trace_dir(tmp_path), None)
    assert [(row["gang"], row["placed"], row["verdict"]) for row in rows] == [
        ("a", 2, "fits"),
        ("b", 2, "fits"),
        ("c", 0, "does not fit"),
    ]
    assert [row["domain"] for row in rows[:2]] == ["s1/l1", "s2/l1"]
    assert [(row["spines"], row["leaves"]) for row in rows] == [(1, 1), (1, 1), (0, 0)]
    assert rows[2]["why"] == "0 of 1 fit in the whole cluster, 1 short of nvidia.com/gpu"


def test_one_gang_of_a_trace_is_shown_member_by_member(tmp_path: Path) -> None:
    """All gangs are planned, one is shown: `b` does not get the nodes that `a` took."""
    assert plan_once(trace_dir(tmp_path), "b") == [
        {"rank": 0, "node": "p2", "spine": "s2", "leaf": "l1"},
        {"rank": 1, "node": "p3", "spine": "s2", "leaf": "l1"},
    ]
    (row,) = plan_once(tmp_path / "trace", "c")
    assert (row["gang"], row["verdict"]) == ("c", "does not fit")


def test_an_unknown_gang_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names gangs that there are; exit code 5."""
    with pytest.raises(NotFoundError, match="called z; there are a, b, c"):
        plan_once(trace_dir(tmp_path), "z")
    assert cli.main(["plan", "--snapshot", str(tmp_path / "trace"), "--gang", "z"]) == 5
    assert capsys.readouterr().err.count("\n") == 1


def test_a_snapshot_has_what_runs_there(tmp_path: Path) -> None:
    """Bound pods take room: the gang goes to the other spine; who is too big is told why."""
    busy = pod("busy", "", {**containers(gpu="4"), "nodeName": "n0"})
    directory = snapshot_dir(
        tmp_path, busy, *members("fit", 2, 2, gpu="8"), *members("wide", 3, 3, gpu="1", cpu="60")
    )
    rows = {row["gang"]: row for row in plan_once(directory, None)}
    assert rows["ns/StatefulSet/fit"]["domain"] == "s2"
    wide = rows["ns/StatefulSet/wide"]
    assert (wide["placed"], wide["verdict"]) == (0, "does not fit")
    assert wide["why"].startswith("2 of 3 fit; best spine is s1 with 2, 1 short of ")
    assert plan_once(directory, "ns/StatefulSet/fit") == [
        {"rank": 0, "node": "n2", "spine": "s2", "leaf": "l2"},
        {"rank": 1, "node": "n3", "spine": "s2", "leaf": "l3"},
    ]


def test_an_incomplete_gang_is_shown_but_not_planned(tmp_path: Path) -> None:
    """It says how many of how many exist, with all gangs and by its name."""
    directory = snapshot_dir(tmp_path, *members("late", 4, 1, gpu="1"))
    rows = plan_once(directory, None)
    assert rows == plan_once(directory, "ns/StatefulSet/late")
    (row,) = rows
    assert (row["placed"], row["verdict"]) == (0, "waits for members")
    assert row["why"] == "1 of 4 members exist: too few to start"
    assert (row["spines"], row["leaves"]) == (0, 0)


def test_a_rule_that_is_not_checked_is_told(tmp_path: Path) -> None:
    """A plan without a rule of the pod says so, whether the gang fits or not."""
    asks = {"resourceClaims": [{"name": "gpu", "resourceClaimName": "mine"}]}
    directory = snapshot_dir(tmp_path, pod("small", "", {**containers(gpu="1"), **asks}),
                             pod("huge", "", {**containers(gpu="9"), **asks}))  # fmt: skip
    rows = {row["gang"]: row for row in plan_once(directory, None)}
    told = "not checked: resourceClaims"
    assert (rows["ns/Pod/small"]["verdict"], rows["ns/Pod/small"]["why"]) == ("fits", told)
    assert rows["ns/Pod/huge"]["why"].startswith(f"{told}; 0 of 1 fit")
    assert plan_once(directory, "ns/Pod/huge") == [rows["ns/Pod/huge"]]


def test_rows_of_all_kinds_have_the_same_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One table: placed, refused and incomplete gangs; the command prints it as JSON too."""
    items = [*members("fit", 2, 2, gpu="8"), *members("late", 4, 1, gpu="1")]
    directory = snapshot_dir(tmp_path, *items, pod("huge", "", containers(gpu="9")))
    rows = plan_once(directory, None)
    assert len(rows) == 3
    assert {tuple(row) for row in rows} == {
        ("gang", "members", "placed", "verdict", "domain", "spines", "leaves", "why", "available")
    }
    assert cli.main(["plan", "--snapshot", str(directory), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows


def test_kube_scheduler_s_words_stand_beside_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JSON under a key of their own; in the table behind our sentence, in one column."""
    items = [*members("fit", 1, 1, gpu="8"), pod("huge", "", containers(gpu="9"))]
    directory = snapshot_dir(tmp_path, *items)
    rows = {row["gang"]: row for row in plan_once(directory, None)}
    nodes = len(NODES)
    line = f"0/{nodes} nodes are available: "
    assert rows["ns/StatefulSet/fit"]["available"] == ""
    assert rows["ns/Pod/huge"]["available"].startswith(line)
    assert "Insufficient nvidia.com/gpu" in rows["ns/Pod/huge"]["available"]
    assert cli.main(["plan", "--snapshot", str(directory)]) == 0
    printed = capsys.readouterr().out
    assert f"{rows['ns/Pod/huge']['why']}. {line}" in printed
    assert "available" not in printed.splitlines()[0]
