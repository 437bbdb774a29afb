r"""Reads and writes a trace directory: manifest.json, nodes.csv, gangs.csv.

Writing is canonical (fixed columns, `\n`, sorted keys, defaults left empty), so writing what
was read gives the same bytes. A directory appears whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from scheduler.errors import BadInputError, UsageError
from scheduler.replay.csv_columns import CsvFile
from scheduler.replay.trace import Trace
from scheduler.replay.trace_rows import gangs_from_csv, gangs_to_csv, nodes_from_csv, nodes_to_csv

SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
NODES = "nodes.csv"
GANGS = "gangs.csv"

UNITS = {
    "cpu_milli": "milli-CPU",
    "duration_us": "microseconds",
    "gpu": "devices",
    "gpu_milli": "milli of one device",
    "memory_bytes": "bytes",
    "submit_us": "microseconds from the start of the trace",
}

Extra = Mapping[str, bytes | Iterable[bytes]]
"""Name -> content of a file beside those of every trace, whole or in pieces."""


class Manifest(msgspec.Struct, frozen=True):
    """manifest.json. `files` maps each other file of the directory to its sha256."""

    schema_version: int
    name: str
    source: str
    licence: str
    units: dict[str, str]
    files: dict[str, str]
    dropped_rows: dict[str, int]


def check_new(out: Path) -> None:
    """Raises UsageError if `out` exists and is not an empty directory, or its parent is not there.

    Commands ask before they begin: a run of an hour must not end with this.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = f"{out} exists and is not an empty directory"
        raise UsageError(what, "remove it, or give another --out")
    if not out.absolute().parent.is_dir():
        what = f"{out} cannot be made: {out.parent} is not a directory"
        raise UsageError(what, "make that first, or give another --out")


@contextmanager
def new_directory(out: Path) -> Iterator[Path]:
    """A directory to fill that is renamed to `out` at the end, or removed on any error.

    Raises UsageError if `out` exists and is not an empty directory, or cannot be written.
    """
    check_new(out)
    out = out.resolve()
    try:
        # Beside `out`, so that the rename stays on one file system.
        part = TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        what = f"{out} cannot be made: {error.strerror or error}"
        raise UsageError(what, "give an --out whose parent can be written") from error
    with part as name:
        # A directory inside: the temporary one is private, the result follows the umask.
        work = Path(name) / out.name
        work.mkdir()
        yield work
        work.rename(out)


def write_trace(trace: Trace, out: Path, extra: Extra | None = None) -> None:
    """Write `trace` as directory `out`, with `extra` files beside (hashed like the others).

    Raises UsageError if `out` is taken, ValueError if a name holds a line break.
    """
    with new_directory(out) as work:
        hashes = {n: _write(work / n, parts) for n, parts in _contents(trace, extra).items()}
        (work / MANIFEST).write_bytes(_manifest(trace, hashes))


def trace_files(trace: Trace, extra: Extra | None = None) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what `write_trace` writes, one in memory at a time; the manifest last."""
    hashes: dict[str, str] = {}
    for name, parts in _contents(trace, extra).items():
        data = b"".join(parts)
        hashes[name] = hashlib.sha256(data).hexdigest()
        yield name, data
    yield MANIFEST, _manifest(trace, hashes)


def _contents(trace: Trace, extra: Extra | None) -> dict[str, Iterable[bytes]]:
    return {
        **{n: (data,) if isinstance(data, bytes) else data for n, data in (extra or {}).items()},
        NODES: nodes_to_csv(trace),
        GANGS: gangs_to_csv(trace),
    }


def _manifest(trace: Trace, hashes: dict[str, str]) -> bytes:
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=trace.name,
        source=trace.source,
        licence=trace.licence,
        units=UNITS,
        files=hashes,
        dropped_rows=dict(trace.dropped_rows),
    )
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def _write(file: Path, parts: Iterable[bytes]) -> str:
    """The sha256 of what was written; a trace never lies in memory as text."""
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for part in parts:
            digest.update(part)
            stream.write(part)
    return digest.hexdigest()


def read_trace(path: Path, *, verify: bool = True) -> Trace:
    """The trace in directory `path`.

    Raises BadInputError for a missing or malformed file or row and, if `verify`, for a file
    whose hash is not the manifest's.
    """
    manifest = read_manifest(path)
    if verify:
        for name in changed_files(path, manifest):
            what = f"is missing, or not the file whose sha256 stands in {MANIFEST}"
            do = f"make the trace again, or correct files.{name} in {MANIFEST}"
            raise BadInputError(path / name, None, what, do)
    levels, nodes = nodes_from_csv(CsvFile(path / NODES))
    gangs, rows = gangs_from_csv(CsvFile(path / GANGS))
    return Trace(
        name=manifest.name,
        source=manifest.source,
        licence=manifest.licence,
        levels=levels,
        nodes=nodes,
        gangs=gangs,
        rows=rows,
        dropped_rows=manifest.dropped_rows,
    )


def read_manifest(path: Path) -> Manifest:
    """manifest.json of the trace directory `path`. Raises BadInputError."""
    file = path / MANIFEST
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInputError(file, None, what, "name the directory of a trace") from error
    except msgspec.DecodeError as error:
        what = f"is not a trace manifest: {error}"
        raise BadInputError(file, None, what, "import or generate the trace again") from error
    if manifest.schema_version != SCHEMA_VERSION:
        what = f"schema_version is {manifest.schema_version}, this program reads {SCHEMA_VERSION}"
        raise BadInputError(file, None, what, "import the trace again with this version")
    return manifest


def changed_files(path: Path, manifest: Manifest) -> list[str]:
    """Files that are missing, or whose sha256 is not the manifest's; sorted."""
    names = {NODES, GANGS, *manifest.files}
    return sorted(n for n in names if _sha256(path / n) != manifest.files.get(n))


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
