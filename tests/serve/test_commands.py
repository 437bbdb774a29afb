"""`muster status`, `explain` and `snapshot` against a scheduler, as a user types them."""

from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler import cli
from scheduler.errors import ApiUnavailableError
from scheduler.replay.snapshot_tar import unpack
from scheduler.serve import pages
from tests.serve.running import SECOND, Running, busy


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that ends well."""
    assert cli.main(list(arguments)) == 0
    return capsys.readouterr().out


def test_status_shows_who_waits(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Health first, then numbers, then the gangs that need attention."""
    text = said(capsys, "status", "--address", address)
    assert text.startswith("The scheduler is ready.\n")
    assert "gangs   2 binding, 2 pending, 1 placed, 2 waiting" in text
    assert "nodes   7 in 2 spines, 3 leaves" in text
    assert "18 of 40 fit in the whole cluster, 22 short of nvidia.com/gpu" in text
    assert "StatefulSet/train" not in text
    assert "StatefulSet/train" in said(capsys, "status", "--all", "--address", address)


def test_status_as_json_is_what_the_scheduler_said(
    address: str, running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document."""
    doc = json.loads(said(capsys, "status", "-o", "json", "--address", address))
    assert doc["ready"]["ok"]
    assert doc["gangs"] == json.loads(json.dumps(running.answers.gangs()))
    assert doc["status"] == json.loads(json.dumps(running.answers.status()))


def test_explain_begins_with_the_sentence(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a researcher asks is answered in the first lines, ours before kube-scheduler's."""
    text = said(capsys, "explain", "ns/StatefulSet/huge", "--address", address)
    assert text.splitlines()[:4] == [
        "ns/StatefulSet/huge is pending: Unschedulable",
        "  18 of 40 fit in the whole cluster, 22 short of nvidia.com/gpu",
        "  5/7 nodes are available to a single member: 2 Insufficient nvidia.com/gpu.",
        "  waiting for 1m16s; last tried 1m15s ago; number 1 of 2 in the queue",
    ]
    assert "40 wanted, 0 on nodes, 40 without a node" in text


def test_explain_shows_domains_and_members(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Per level where it is; with --members each rank."""
    plain = said(capsys, "explain", "ns/StatefulSet/train", "--address", address)
    assert [line.split() for line in plain.splitlines()][-2:] == [
        ["spine", "s2", "6"], ["leaf", "s2/l3", "6"],
    ]  # fmt: skip
    text = said(capsys, "explain", "ns/StatefulSet/train", "--members", "--address", address)
    assert text.splitlines()[-1].split() == ["5", "train-5", "bound", "n6", "s2", "l3"]


def test_a_wrong_name_is_exit_code_5(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest name."""
    assert cli.main(["explain", "ns/StatefulSet/tran", "--address", address]) == 5
    told = "muster: no gang is called ns/StatefulSet/tran; did you mean ns/StatefulSet/train?\n"
    assert capsys.readouterr().err == told
    assert cli.main(["explain", "train", "--address", address]) == 5


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no.such.host.invalid:1", "127.0.0.1:x", "a b"])
@pytest.mark.parametrize("command", [["status"], ["explain", "a/b/c"], ["snapshot", "--out"]])
def test_no_scheduler_is_exit_code_4(
    place: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says where nobody answered; nothing is left behind."""
    out = [str(tmp_path / "snap")] if command == ["snapshot", "--out"] else []
    assert cli.main([*command, *out, "--address", place]) == 4
    error = capsys.readouterr().err
    assert error.startswith(f"muster: no scheduler answers at {place}: ")
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """Something else that speaks HTTP."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("body", "status"), [(b"hello", 200), (b"hello", 500), (b"[]", 503)])
def test_something_else_at_the_address_is_exit_code_4(
    body: bytes, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback about somebody else's answer."""
    with answering(body, status) as place:
        assert cli.main(["explain", "a/b/c", "--address", place]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_busy_scheduler_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    """Its own words are handed on."""
    running = busy()
    running.loop.busy = True
    with running.serving() as place:
        assert cli.main(["explain", "a/b/c", "--address", place]) == 4
    assert capsys.readouterr().err.startswith("muster: the scheduler is busy; try again")


def test_a_snapshot_is_planned_offline(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory is whole; muster plan gives the verdicts of the running scheduler."""
    out = str(tmp_path / "snap")
    text = said(capsys, "snapshot", "--out", out, "--address", address)
    assert [line.split()[0] for line in text.splitlines()[2:]] == [
        f"{out}/{name}" for name in ("cluster.json", "nodes.csv", "gangs.csv", "manifest.json")
    ]
    rows = json.loads(said(capsys, "plan", "--snapshot", out, "-o", "json"))
    assert {row["gang"].split("/")[2]: (row["verdict"], row["placed"]) for row in rows} == {
        "huge": ("does not fit", 0), "later": ("fits", 2), "part": ("waits for members", 0),
        "odd": ("left out", 0),
    }  # fmt: skip
    assert rows[0]["why"] == "18 of 40 fit in the whole cluster, 22 short of nvidia.com/gpu"
    assert cli.main(["snapshot", "--out", out, "--address", address]) == 2


def archive(**files: bytes) -> bytes:
    """A tar of these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def test_a_snapshot_that_breaks_off_leaves_nothing(running: Running, tmp_path: Path) -> None:
    """Wherever the stream ends, there is no directory or a whole one."""
    files = dict(running.answers.snapshot())
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    data = whole.getvalue()
    last = data.index(b"manifest.json")
    for end in (0, 100, 512, 1_024, last // 2, last + 700):
        with pytest.raises(ApiUnavailableError, match="did not come whole"):
            unpack(io.BytesIO(data[:end]), tmp_path / "snap")
        assert list(tmp_path.iterdir()) == []
    assert unpack(io.BytesIO(data), tmp_path / "snap")["nodes.csv"] == len(files["nodes.csv"])


@pytest.mark.parametrize("name", ["..__evil.json", "__etc__passwd", "a__b.csv", "x.sh"])
def test_no_file_leads_out_of_the_directory(name: str, tmp_path: Path) -> None:
    """What answers at the address may be anybody."""
    with pytest.raises(ApiUnavailableError, match="no file of a snapshot"):
        unpack(io.BytesIO(archive(**{name: b"x"})), tmp_path / "snap")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0s"), (-5, "0s"), (1_999_999, "1s"), (75 * SECOND, "1m15s"), (3_661 * SECOND, "1h1m"),
     (90_061 * SECOND, "25h")],
)  # fmt: skip
def test_times_are_as_exact_as_they_are_read(us: int, text: str) -> None:
    """Two units at most."""
    assert pages.elapsed(us) == text


def test_amounts_are_in_people_s_units() -> None:
    """Cores, GiB, devices."""
    rows = pages.resource_rows(
        {
            "resources": [
                {"resource": "cpu", "allocatable": 64_000, "free": 32_000},
                {"resource": "memory", "allocatable": 512 << 30, "free": 0},
                {"resource": "nvidia.com/gpu", "allocatable": 8_000, "free": 8_000},
            ]
        }
    )
    assert [(row["allocatable"], row["free"], row["free_share"]) for row in rows] == [
        ("64 cores", "32 cores", "50 %"), ("512 GiB", "0 GiB", "0 %"), ("8,000", "8,000", "100 %"),
    ]  # fmt: skip


def test_what_is_odd_about_a_gang_is_a_fact() -> None:
    """Problems, rules that are not supported, blockers, claims, holds: a line each."""
    running = Running()
    running.gang("g", 2, unsupported=("volumes",))
    running.roster.settle(0)
    doc = running.answers.explain("ns/StatefulSet/g")
    doc |= {
        "problems": ["annotation x is ignored"],
        "blocked_by": ["hold of a until 14:05"],
        "claims": [{"level": "leaf", "domain": "s1/l1", "until_us": 3_600 * SECOND}],
        "holds": [{"rank": 1, "node": "n1", "until_us": 60 * SECOND}],
        "wishes": {**doc["wishes"], "required": "leaf", "segment_size": 4,
                   "segment_topology": "leaf"},
        "members": {**doc["members"], "minimum": 1},
    }  # fmt: skip
    facts = [(row["fact"], row["is"]) for row in pages.fact_rows(doc)]
    assert facts == [
        ("members", "2 wanted (at least 1), 0 on nodes, 2 without a node"),
        ("asked for", "one leaf, required, every 4 in one leaf"),
        ("not supported", "volumes"),
        ("noticed", "annotation x is ignored"),
        ("blocked by", "hold of a until 14:05"),
        ("claims", "leaf s1/l1 until 01:00:00 UTC"),
        ("holds", "room for 1 members, until 00:01:00 UTC"),
    ]  # fmt: skip
