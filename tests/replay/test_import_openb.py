"""The openb importer: every pod is a gang of one, shares and models kept, times in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scheduler.errors import BadInputError
from scheduler.replay.importers.openb import import_openb
from scheduler.replay.trace_io import read_trace, write_trace

NODES = "sn,cpu_milli,memory_mib,gpu,model"
PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
    "deletion_time,scheduled_time"
)
NODE_ROWS = ("node-10,96000,393216,8,G2", "node-9,64000,262144,2,P100", "node-0,94000,524288,0,")


def pod(
    name: str, gpus: str = "1", milli: str = "1000", spec: str = "", *,
    cpu: str = "6000", times: tuple[str, str, str] = ("100", "250", "150"),
) -> str:  # fmt: skip
    return f"{name},{cpu},16384,{gpus},{milli},{spec},LS,Running,{','.join(times)}"


def files(
    tmp_path: Path, *pods: str, nodes: tuple[str, ...] = NODE_ROWS, header: str = PODS
) -> tuple[Path, Path]:
    (tmp_path / "nodes.csv").write_text("\n".join((NODES, *nodes, "")), encoding="utf-8")
    (tmp_path / "pods.csv").write_text("\n".join((header, *pods, "")), encoding="utf-8")
    return tmp_path / "nodes.csv", tmp_path / "pods.csv"


def test_nodes_and_pods(tmp_path: Path) -> None:
    """Amounts in our units, nodes in natural order, gpu_milli and the list of models as given."""
    trace = import_openb(*files(
        tmp_path,
        pod("p1", milli="460"),
        pod("p0", "8", spec="V100M16|V100M32"),
        pod("p2", "0", "0"),
    ))  # fmt: skip
    assert trace.nodes.names == ("node-0", "node-9", "node-10")
    assert trace.nodes.model == ("", "P100", "G2")
    assert trace.nodes.gpu.tolist() == [0, 2, 8]
    assert trace.nodes.memory_bytes.tolist() == [m << 20 for m in (524288, 262144, 393216)]
    assert trace.gangs.keys == ("p1", "p0", "p2")
    assert trace.rows.gpu.tolist() == [1, 8, 0]
    assert trace.rows.gpu_milli.tolist() == [460, 1000, 0]
    assert trace.rows.model == ("", "V100M16|V100M32", "")
    assert set(trace.rows.memory_bytes.tolist()) == {16384 << 20}
    assert set(trace.rows.cpu_milli.tolist()) == {6000}
    assert set(trace.rows.count.tolist()) == {1}


def test_times(tmp_path: Path) -> None:
    """A pod runs from when it was scheduled (else created) until deleted (else the last time)."""
    trace = import_openb(*files(
        tmp_path,
        pod("p0", times=("100", "250", "150")),
        pod("p1", times=("100", "250", "")),
        pod("p2", times=("100", "", "140")),
    ))  # fmt: skip
    assert trace.gangs.submit_us.tolist() == [100_000_000] * 3
    assert trace.gangs.duration_us.tolist() == [100_000_000, 150_000_000, 110_000_000]


def test_a_list_without_gpu_spec(tmp_path: Path) -> None:
    """Some of the published lists lack the column: every model will do."""
    row = pod("p0").replace(",,LS", ",LS")
    trace = import_openb(*files(tmp_path, row, header=PODS.replace("gpu_spec,", "")))
    assert trace.rows.model == ("",)
    assert trace.rows.gpu_milli.tolist() == [1000]


def test_the_directory_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """Import, export, read and export again: the same bytes."""
    spec = "V100M16|V100M32"
    trace = import_openb(*files(tmp_path, pod("p0", milli="5"), pod("p1", "2", spec=spec)))
    write_trace(trace, tmp_path / "a")
    write_trace(read_trace(tmp_path / "a"), tmp_path / "b")
    for name in ("manifest.json", "nodes.csv", "gangs.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


BAD = [
    (pod("p1", cpu="six"), "bad_number", "cpu_milli is 'six', not an integer"),
    (pod("p1", milli="1001"), "bad_range", "gpu_milli is 1001"),
    (pod("p1", "2", "500"), "bad_gpu", "num_gpu is 2 but gpu_milli is 500"),
    (pod("p1", "0", "500"), "bad_gpu", "num_gpu is 0 but gpu_milli is 500"),
    (pod("p1", "1", "0"), "bad_gpu", "num_gpu is 1 but gpu_milli is 0"),
    (pod("p1", spec="T4|"), "bad_gpu_spec", "gpu_spec is 'T4|'"),
    (pod("p1", times=("1", "5", "7")), "bad_time", "deletion_time is 5, before the pod began at 7"),
    (pod("p1", times=("", "5", "7")), "bad_number", "creation_time is '', not an integer"),
    (pod(""), "bad_empty", "name is empty"),
    (pod("p0"), "bad_duplicate", "name p0 stands on line 2 already"),
    ("p1,6000", "bad_columns", "has 2 columns, the header has 11"),
]


@pytest.mark.parametrize(("row", "reason", "message"), BAD)
def test_a_malformed_pod(tmp_path: Path, row: str, reason: str, message: str) -> None:
    """One error with file and line; with skip_bad it is counted and leaves nothing behind."""
    nodes, pods = files(tmp_path, pod("p0"), row, pod("p9", "4"))
    with pytest.raises(BadInputError) as caught:
        import_openb(nodes, pods)
    assert str(caught.value).startswith(f"{pods}:3: {message}")
    trace = import_openb(nodes, pods, skip_bad=True)
    assert trace.dropped_rows == {reason: 1}
    assert trace.gangs.keys == ("p0", "p9")
    assert trace.rows.gpu.tolist() == [1, 4]
    assert trace.rows.memory_bytes.tolist() == [16384 << 20] * 2
    assert trace.gangs.duration_us.tolist() == [100_000_000] * 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("node-9,1,1,1,T4", "sn node-9 stands on line 3 already"),
        ("node-1,1,1,1,", "model is empty"),
        ("node-1,1,1,-1,T4", "gpu is '-1', not an integer"),
    ],
)
def test_a_malformed_node(tmp_path: Path, row: str, message: str) -> None:
    """The same for the node list."""
    nodes, pods = files(tmp_path, pod("p0"), nodes=(*NODE_ROWS, row))
    with pytest.raises(BadInputError) as caught:
        import_openb(nodes, pods)
    assert str(caught.value).startswith(f"{nodes}:5: {message}")
    assert len(import_openb(nodes, pods, skip_bad=True).nodes) == 3


def test_the_published_list_is_whole(real_traces: Path) -> None:
    """8,152 pods on 1,213 nodes with 6,212 GPUs; 3,078 pods share one."""
    root = real_traces / "openb"
    trace = import_openb(root / "openb_node_list_gpu_node.csv", root / "openb_pod_list_default.csv")
    assert (len(trace.gangs), len(trace.nodes), int(trace.nodes.gpu.sum())) == (8152, 1213, 6212)
    assert int(trace.nodes.cpu_milli.sum()) == 107_018_000
    assert trace.dropped_rows == {}
    assert int((trace.rows.gpu * trace.rows.gpu_milli).sum()) == 6_086_800
    assert int(np.count_nonzero((trace.rows.gpu_milli < 1000) & (trace.rows.gpu > 0))) == 3078
