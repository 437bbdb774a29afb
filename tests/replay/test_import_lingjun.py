"""The Lingjun importer: a real three-layer fabric, where leaf names come again under spines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scheduler.errors import BadInputError
from scheduler.replay.importers.lingjun import import_lingjun

TOPO = "ip,DSW,PSW,ASW\nh2,G6,P8,S3\nh10,G6,P8,S3\nh1,G6,P10,S3\n"


def topo(tmp_path: Path, text: str = TOPO) -> Path:
    path = tmp_path / "topo.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_leaf_belongs_to_its_spine(tmp_path: Path) -> None:
    """S3 under P8 and S3 under P10 are two leaves; hosts stand in natural order."""
    trace = import_lingjun(topo(tmp_path))
    assert trace.levels == ("spine", "leaf")
    assert trace.nodes.names == ("h1", "h2", "h10")
    topology = trace.topology()
    assert [topology.path(int(d)) for d in topology.by_level[1]] == [("P8", "S3"), ("P10", "S3")]
    assert trace.nodes.gpu.tolist() == [8, 8, 8]
    assert import_lingjun(topo(tmp_path), gpus_per_node=4).nodes.gpu.tolist() == [4, 4, 4]
    assert len(trace.gangs) == 0


def test_several_cores_are_a_level(tmp_path: Path) -> None:
    """With more than one DSW the same PSW name under two of them is two spines."""
    trace = import_lingjun(topo(tmp_path, TOPO.replace("h10,G6", "h10,G7")))
    assert trace.levels == ("core", "spine", "leaf")
    assert [len(domains) for domains in trace.topology().by_level] == [2, 3, 3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("h10,", "h2,", ":3: ip h2 stands on line 2 already"),
        ("P10,S3", "P10,", ":4: ASW is empty"),
        ("h1,G6,P10", "h1,P10", ":4: has 3 columns, the header has 4"),
        ("PSW,ASW", "PSW,LEAF", ":1: the header lacks ASW"),
        (TOPO, "ip,DSW,PSW,ASW\n", ":1: has no hosts"),
    ],
)
def test_a_malformed_host_is_one_error_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Duplicates, empty switches and short rows name the line."""
    path = topo(tmp_path, TOPO.replace(old, new, 1))
    with pytest.raises(BadInputError) as caught:
        import_lingjun(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_the_published_fabric_has_its_shape(real_traces: Path) -> None:
    """847 hosts, 3 spines of 362, 306 and 179 hosts, 119 leaves of 2 to 8 hosts."""
    trace = import_lingjun(real_traces / "lingjun-2023" / "topo.csv")
    topology = trace.topology()
    spines, leaves = topology.by_level
    assert len(trace.nodes) == 847
    assert sorted(len(topology.rows(int(d))) for d in spines) == [179, 306, 362]
    under = Counter(int(topology.parent[d]) for d in leaves)
    assert sorted(under.values()) == [29, 42, 48]
    sizes = Counter(len(topology.rows(int(d))) for d in leaves)
    assert sizes == {8: 68, 7: 23, 6: 15, 5: 7, 4: 2, 3: 1, 2: 3}
    spines_of: dict[str, set[int]] = {}
    for d in leaves:
        spines_of.setdefault(topology.names[d], set()).add(int(topology.parent[d]))
    assert sum(len(parents) > 1 for parents in spines_of.values()) == 42
