"""Several schedulers in one process, as the commands show them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler import cli
from scheduler.model.wishes import REQUIRED, Level
from tests.serve.running import CLUSTER, Running
from tests.serve.test_commands import said
from tests.state.roster_helpers import Desk, controller


@pytest.fixture(scope="module")
def running() -> Running:
    """A gang that is placed and one that does not fit, of either profile."""
    racks = (Level("rack", "net/leaf"),)
    running = Running(desk=Desk(CLUSTER, others=[racks], schedulers=("muster", "racks")))
    running.roster.put_controller(controller("serve", 8, annotations={REQUIRED: "rack"}), 0)
    for rank in range(8):
        running.pod(f"serve-{rank}", "serve", profile=1)
    running.gang("train", 6)
    running.cycle()
    running.bind("serve", range(8), profile=1)
    running.bind("train", range(6))
    running.gang("huge", 40)
    running.gang("vast", 50, profile=1)
    running.cycle()
    return running


@pytest.fixture(scope="module")
def address(running: Running) -> Iterator[str]:
    """Where it listens."""
    with running.serving() as found:
        yield found


def test_status_counts_domains_and_gangs_by_scheduler(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each scheduler; gangs are listed with theirs."""
    lines = said(capsys, "status", "--all", "--address", address).splitlines()
    assert "nodes   7" in lines
    assert "muster   2 spines, 3 leaves; 1 gang queued" in lines
    assert "racks   3 racks; 1 gang queued" in lines
    named = {line.split()[0]: line.split()[1] for line in lines if line.startswith(" ns/")}
    assert named == {
        "ns/StatefulSet/serve": "racks", "ns/StatefulSet/vast": "racks",
        "ns/StatefulSet/train": "muster", "ns/StatefulSet/huge": "muster",
    }  # fmt: skip


def test_explain_names_the_scheduler_and_its_levels(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was asked for and where it is are said in words of the profile."""
    text = said(capsys, "explain", "ns/StatefulSet/serve", "--address", address)
    facts = [" ".join(line.split()) for line in text.splitlines()]
    assert "scheduler racks" in facts
    assert "asked for one rack, required" in facts
    assert facts[-1] in {"rack l1 8", "rack l2 8", "rack l3 8"}
    text = said(capsys, "explain", "ns/StatefulSet/vast", "--address", address)
    assert "number 1 of 1 in the queue" in text


def test_a_snapshot_needs_the_name_of_a_scheduler(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with the choices; 5 for a name that there is not."""
    out = ["--out", str(tmp_path / "snap"), "--address", address]
    assert cli.main(["snapshot", *out]) == 2
    assert capsys.readouterr().err == (
        "muster: this process is 2 schedulers, and a snapshot is of one;"
        " name it with --scheduler: muster, racks\n"
    )
    assert cli.main(["snapshot", "--scheduler", "a&b", *out]) == 5
    told = "muster: no scheduler is called a&b here; there is muster, racks\n"
    assert capsys.readouterr().err == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("scheduler", "gang", "levels"),
    [("muster", "huge", ["spine", "leaf"]), ("racks", "vast", ["rack"])],
)
def test_a_snapshot_of_one_scheduler_is_planned_offline(
    scheduler: str, gang: str, levels: list[str],
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Its levels and gangs; the room that all of them left."""
    out = str(tmp_path / "snap")
    said(capsys, "snapshot", "--scheduler", scheduler, "--out", out, "--address", address)
    doc = json.loads((tmp_path / "snap" / "cluster.json").read_text())
    assert [level["name"] for level in doc["levels"]] == levels
    assert doc["profile"]["scheduler_name"] == scheduler
    rows = json.loads(said(capsys, "plan", "--snapshot", out, "-o", "json"))
    (row,) = rows
    assert row["gang"] == f"ns/StatefulSet/{gang}"
    assert row["why"].startswith("14 of ")  # 28 GPUs less 8 and 6
