"""A trace directory is read strictly and written whole, always with the same bytes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings

from scheduler.errors import BadInputError, UsageError
from scheduler.replay import csv_columns
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import check_new, new_directory, read_trace, write_trace
from tests.replay.toy_run import ask, toy_trace
from tests.replay.trace_strategies import GANGS_CSV, NODES_CSV, directory, traces

FILES = ("manifest.json", "nodes.csv", "gangs.csv")


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def columns(part: object) -> dict[str, object]:
    """The fields of a dataclass with slots, arrays as lists."""
    values = {name: getattr(part, name) for name in part.__slots__}  # type: ignore[attr-defined]
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()}


@settings(max_examples=150)
@given(trace=traces())
def test_write_read_write_gives_the_same_bytes(trace: Trace) -> None:
    """Nothing is lost on the way, and the second writing is the first one byte for byte."""
    with TemporaryDirectory() as temporary:
        first, second = Path(temporary, "first"), Path(temporary, "second")
        write_trace(trace, first)
        again = read_trace(first)
        write_trace(again, second)
        assert contents(first) == contents(second)
        assert sorted(contents(first)) == sorted(FILES)
    for part in ("nodes", "gangs", "rows"):
        assert columns(getattr(again, part)) == columns(getattr(trace, part))
    for name in ("name", "source", "licence", "levels", "pools", "dropped_rows"):
        assert getattr(again, name) == getattr(trace, name)


def test_the_chunks_of_a_file_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file longer than a chunk reads the same, and a bad row in it names its own line."""
    whole = read_trace(directory(tmp_path / "t"), verify=False)
    monkeypatch.setattr(csv_columns, "_CHUNK", 2)
    chunked = read_trace(tmp_path / "t", verify=False)
    for part in ("nodes", "gangs", "rows"):
        assert columns(getattr(chunked, part)) == columns(getattr(whole, part))
    directory(tmp_path / "t", nodes=NODES_CSV.replace("n1,b,,32000", "n1,b,,x"))
    with pytest.raises(BadInputError, match=r"nodes.csv:4: cpu_milli is 'x', not an integer"):
        read_trace(tmp_path / "t", verify=False)


def test_a_trace_is_read_as_written_in_the_file(tmp_path: Path) -> None:
    """Nodes in natural order; empty min is all; several rows are several shapes of one gang."""
    trace = read_trace(directory(tmp_path / "t"), verify=False)
    assert trace.nodes.names == ("n1", "n2", "n10")
    assert trace.nodes.labels == (("s2", "s1", "s1"), ("", "l1", "l1"))
    assert trace.levels == ("spine", "leaf")
    assert trace.pools == ("a", "b")
    assert [codes.tolist() for codes in trace.pool_codes()] == [[1, 0, 0], [0, 0]]
    assert trace.gangs.keys == ("g1", "g2")
    assert trace.gangs.offset.tolist() == [0, 1, 3]
    assert trace.sizes().tolist() == [2, 4]
    assert trace.gpus().tolist() == [16, 3]
    assert trace.gangs.minimum.tolist() == [2, 2]
    assert trace.gangs.priority.tolist() == [5, 0]
    assert trace.gangs.segment_size.tolist() == [0, 2]
    assert trace.level_numbers(trace.gangs.required).tolist() == [1, -1]
    assert trace.level_numbers(trace.gangs.preferred).tolist() == [-1, 0]
    assert trace.rows.gang.tolist() == [0, 1, 1]
    assert trace.dropped_rows == {"no_gpu": 3}
    assert [len(domains) for domains in trace.topology().by_level] == [2, 1]


BAD_NODES = {
    "nodes.csv:3: name n10 stands on line 2 already": ("n2,a", "n10,a"),
    "nodes.csv:2: cpu_milli is '64 000', not an integer": ("n10,a,G2,64000", "n10,a,G2,64 000"),
    "nodes.csv:2: cpu_milli is '6_4', not an integer": ("n10,a,G2,64000", "n10,a,G2,6_4"),
    "nodes.csv:2: cpu_milli is '', not an integer": ("n10,a,G2,64000", "n10,a,G2,"),
    "nodes.csv:3: gpu is -8": ("n2,a,G2,64000,1000,8", "n2,a,G2,64000,1000,-8"),
    "nodes.csv:3: gpu is 9999999999": ("n2,a,G2,64000,1000,8", "n2,a,G2,64000,1000,9999999999"),
    "nodes.csv:2: cpu_milli is 99999999999999999999, outside int64": (
        "n10,a,G2,64000",
        "n10,a,G2,99999999999999999999",
    ),
    "nodes.csv:4: has 8 columns, the header has 9": ("10,s2,", "10,s2"),
    "nodes.csv:4: name is empty": ("n1,b", ",b"),
    "nodes.csv:2: a cell holds a line break": ("n10,a", '"n\n10",a'),
    r"nodes.csv:3: name holds the control character '\x00'": ("n2,a", "n\x002,a"),
    r"nodes.csv:2: leaf holds the control character '\x1b'": ("10,s1,l1", "10,s1,l\x1b[31m"),
    "nodes.csv:1: the header lacks pods": ("gpu,pods", "gpu,slots"),
    "nodes.csv:1: the header is pool,name": ("name,pool", "pool,name"),
    "nodes.csv:1: names a column twice": ("spine,leaf", "leaf,leaf"),
    "nodes.csv:1: a level has no name": ("spine,leaf", "spine,"),
    "nodes.csv:1: has no header line": (NODES_CSV, ""),
}


@pytest.mark.parametrize("message", BAD_NODES)
def test_a_malformed_node_is_one_error_with_its_line(tmp_path: Path, message: str) -> None:
    """Each slip in nodes.csv names the file, the line and the cell, and says what to do."""
    old, new = BAD_NODES[message]
    assert old in NODES_CSV
    directory(tmp_path / "t", nodes=NODES_CSV.replace(old, new, 1))
    with pytest.raises(BadInputError) as caught:
        read_trace(tmp_path / "t", verify=False)
    assert message in str(caught.value)
    assert caught.value.hint


BAD_GANGS = {
    "gangs.csv:3: count is 0": ("leader,1", "leader,0"),
    "gangs.csv:4: submit_us of gang g2 is not what the line above says": (
        "worker,3,7",
        "worker,3,8",
    ),
    "gangs.csv:4: preferred of gang g2 is not": (",500,,2,,spine,2", ",500,,2,,leaf,2"),
    "gangs.csv:4: min of gang g2 is not": (",500,,2,,spine,2", ",500,,3,,spine,2"),
    "gangs.csv:4: gang g1 has rows further up already": ("g2,a,worker", "g1,a,worker"),
    "gangs.csv:2: min is 3, gang g1 has 2 members": ("G2|G3,,leaf", "G2|G3,3,leaf"),
    "gangs.csv:2: min is 0": ("G2|G3,,leaf", "G2|G3,0,leaf"),
    "gangs.csv:2: gpu is 8 but gpu_milli is 0": ("10,8,1000", "10,8,0"),
    "gangs.csv:3: gpu is 0 but gpu_milli is 9": ("10,0,0", "10,0,9"),
    "gangs.csv:2: asks for 500 milli of each of 8 GPUs": ("10,8,1000", "10,8,500"),
    "gangs.csv:2: gpu_milli is 1001": ("10,8,1000", "10,8,1001"),
    "gangs.csv:2: duration_us is '1s', not an integer": ("1000000,5", "1s,5"),
    "gangs.csv:2: gang is empty": ("g1,a", ",a"),
    "gangs.csv:1: the header is": ("segment_size\n", "segment_size,note\n"),
}


@pytest.mark.parametrize("message", BAD_GANGS)
def test_a_malformed_gang_is_one_error_with_its_line(tmp_path: Path, message: str) -> None:
    """Each slip in gangs.csv names the file, the line and what is wrong."""
    old, new = BAD_GANGS[message]
    assert old in GANGS_CSV
    directory(tmp_path / "t", gangs_csv=GANGS_CSV.replace(old, new, 1))
    with pytest.raises(BadInputError) as caught:
        read_trace(tmp_path / "t", verify=False)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "is not a trace manifest"),
        ('{"schema_version": 1}', "missing required field `name`"),
        (
            (
                '{"schema_version": 9, "name": "", "source": "", "licence": "", "units": {},'
                ' "files": {}, "dropped_rows": {}}'
            ),
            "schema_version is 9",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: str, message: str) -> None:
    """manifest.json must be JSON of this version with every field."""
    directory(tmp_path / "t", manifest=manifest)
    with pytest.raises(BadInputError, match=message):
        read_trace(tmp_path / "t")


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """A directory without a manifest is no trace; the error names the file it looked for."""
    with pytest.raises(BadInputError, match=r"manifest.json: cannot be read: No such file"):
        read_trace(tmp_path / "none")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8, or quoted badly, is bad input and not a traceback."""
    path = directory(tmp_path / "t")
    (path / "nodes.csv").write_bytes(NODES_CSV.encode().replace(b"n2", b"\xff2"))
    with pytest.raises(BadInputError, match=r"nodes.csv:3: is not UTF-8"):
        read_trace(path, verify=False)
    directory(path, nodes=NODES_CSV.replace("n2,a", '"n"2,a'))
    with pytest.raises(BadInputError, match=r"nodes.csv:3: "):
        read_trace(path, verify=False)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """A trace whose file is not the one that the manifest names is not replayed."""
    write_trace(read_trace(directory(tmp_path / "t"), verify=False), tmp_path / "good")
    read_trace(tmp_path / "good")
    with (tmp_path / "good" / "gangs.csv").open("a", encoding="utf-8") as file:
        file.write("g3,a,worker,1,9,1,0,0,0,0,0,,,,,\n")
    with pytest.raises(BadInputError, match=r"gangs.csv: .*sha256"):
        read_trace(tmp_path / "good")


def test_extra_files_are_hashed_too(tmp_path: Path) -> None:
    """What a live cluster adds stands beside the three files and in the manifest."""
    trace = read_trace(directory(tmp_path / "t"), verify=False)
    write_trace(trace, tmp_path / "out", extra={"bound.csv": b"pod,node\n"})
    read_trace(tmp_path / "out")
    (tmp_path / "out" / "bound.csv").unlink()
    with pytest.raises(BadInputError, match=r"bound.csv: is missing"):
        read_trace(tmp_path / "out")


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        (toy_trace([("s", "l")], [], gpu=10**7), "gpu of a node is 10000000, a trace holds 0 to"),
        (toy_trace([("s", "l")], [ask(-1, 1, 1)]), "submit_us of a gang is -1"),
        (toy_trace([("s", "l")], [ask(0, 1, 10**6 + 1)]), "count of a gang is 1000001"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path: Path, trace: Trace, said: str) -> None:
    """Numbers outside what the reader takes are one sentence, and nothing is left behind."""
    with pytest.raises(UsageError, match=said):
        write_trace(trace, tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_a_taken_directory_is_refused(tmp_path: Path) -> None:
    """--out never overwrites; an empty directory is as good as none."""
    trace = read_trace(directory(tmp_path / "t"), verify=False)
    with pytest.raises(UsageError, match="not an empty directory"):
        write_trace(trace, tmp_path / "t")
    with pytest.raises(UsageError, match="cannot be made"):
        write_trace(trace, tmp_path / "no" / "parent")
    for taken in (tmp_path / "t", tmp_path / "t" / "nodes.csv", tmp_path / "no" / "parent"):
        with pytest.raises(UsageError):
            check_new(taken)
    (tmp_path / "empty").mkdir()
    check_new(tmp_path / "empty")
    write_trace(trace, tmp_path / "empty")
    assert sorted(contents(tmp_path / "empty")) == sorted(FILES)


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """If filling it fails, nothing is left behind, not even the temporary directory."""

    def fill() -> None:
        with new_directory(tmp_path / "out") as work:
            (work / "half").write_text("half", encoding="utf-8")
            assert not (tmp_path / "out").exists()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill()
    assert list(tmp_path.iterdir()) == []
