"""`muster trace check` finds what is wrong, and tells what one should know."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from scheduler.replay.check import check_trace, offered_load
from scheduler.replay.trace_io import read_trace, write_trace
from tests.replay.trace_strategies import GANGS_CSV, NODES_CSV, directory


def texts(path: Path, *, error: bool) -> list[str]:
    return [finding.text for finding in check_trace(path).findings if finding.error is error]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """The small trace, written properly."""
    write_trace(read_trace(directory(tmp_path / "raw"), verify=False), tmp_path / "good")
    return tmp_path / "good"


def test_a_good_trace_passes_with_its_notes(good: Path) -> None:
    """Unlabelled nodes and dropped rows are notes; the summary counts what is there."""
    check = check_trace(good)
    assert check.ok
    assert texts(good, error=False) == [
        "1 nodes have no leaf label: they hang below their nearest ancestor",
        "3 rows of the source were dropped: no_gpu",
    ]
    assert check.summary == {
        "trace": "t",
        "pools": 2,
        "nodes": 3,
        "gpus": 16,
        "levels": "2 spine, 1 leaf",
        "gangs": 2,
        "pods": 6,
        "multi_member": 2,
        "largest": 4,
        "span_s": 7e-6,
        "offered_load": 169642.8571,
        "dropped_rows": 3,
    }


def test_the_load_counts_shares_of_devices(good: Path) -> None:
    """2 members x 8 GPUs for 1 s and 3 half GPUs for 2 s, on 16 GPUs over 7 us."""
    assert offered_load(read_trace(good)) == Fraction(16 * 1_000_000 + 3 * 1_000_000, 16 * 7)


def test_a_changed_file_fails_the_check(good: Path) -> None:
    """The hash is checked, and the rest of the trace is still looked at."""
    with (good / "nodes.csv").open("a", encoding="utf-8") as file:
        file.write("n11,a,G2,1,1,1,1,s1,l1\n")
    check = check_trace(good)
    assert not check.ok
    assert texts(good, error=True) == ["nodes.csv is not the file whose sha256 the manifest has"]
    assert check.summary["nodes"] == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("g1,a", "g1,c", "pool 'c' of gang g1 has no nodes"),
        ("G2|G3", "G4|G3", "gang g1 asks for GPU model G4|G3, of which pool 'a' has none"),
        ("leaf,,", "row,,", "gangs name the level 'row'; the trace has spine, leaf"),
    ],
)
def test_names_that_nothing_bears_fail_the_check(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """A pool without nodes, a model or a level that is not there is an error."""
    directory(tmp_path / "t", gangs_csv=GANGS_CSV.replace(old, new, 1))
    assert message in texts(tmp_path / "t", error=True)


NEVER = "1 gangs never fit their empty pool; the first is g1"
NOT_IN_ONE = "1 gangs never fit any one domain required; the first is g1"


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("worker,2,", "worker,3,", NEVER),
        ("worker,2,0,1000000,5,1000", "worker,2,0,1000000,5,64001", NEVER),
        ("worker,2,0,1000000,5,1000", "worker,2,0,1000000,5,64000", ""),
    ],
)
def test_gangs_bigger_than_their_pool_are_noted(
    tmp_path: Path, old: str, new: str, note: str
) -> None:
    """A gang is noted if the empty pool cannot hold its minimum, and only then."""
    directory(tmp_path / "t", gangs_csv=GANGS_CSV.replace(old, new, 1))
    never = [text for text in texts(tmp_path / "t", error=False) if "never fit" in text]
    assert never == ([note] if note else [])


def test_a_minimum_that_fits_is_not_noted(tmp_path: Path) -> None:
    """Three members do not fit two nodes, but two of them may start."""
    gangs = GANGS_CSV.replace("worker,2,", "worker,3,", 1).replace("G2|G3,,", "G2|G3,2,", 1)
    directory(tmp_path / "t", gangs_csv=gangs)
    assert not [text for text in texts(tmp_path / "t", error=False) if "never fit" in text]


def test_sharers_of_a_device_stay_on_it(tmp_path: Path) -> None:
    """Two members of 400 milli fit a device, not two and a half: 32 fit 16 GPUs, 33 do not."""
    for count, expected in ((32, []), (33, [NEVER])):
        row = f"g1,a,worker,{count},0,1000000,5,1,1,1,400"
        gangs = GANGS_CSV.replace("g1,a,worker,2,0,1000000,5,1000,10,8,1000", row)
        directory(tmp_path / "t", gangs_csv=gangs)
        never = [text for text in texts(tmp_path / "t", error=False) if "never fit" in text]
        assert never == expected


def test_a_required_domain_that_is_too_small_is_noted(tmp_path: Path) -> None:
    """Both nodes of the pool hold the gang, but no leaf of one node does."""
    nodes = NODES_CSV.replace("n2,a,G2,64000,1000,8,110,s1,l1", "n2,a,G2,64000,1000,8,110,s1,l2")
    directory(tmp_path / "t", nodes=nodes)
    assert NOT_IN_ONE in texts(tmp_path / "t", error=False)
