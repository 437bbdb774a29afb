"""A snapshot that comes as a tar stream becomes a directory, whole or not at all."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import IO

from scheduler.errors import ApiUnavailableError
from scheduler.replay.trace_io import MANIFEST, changed_files, new_directory, read_manifest

_NAME = re.compile(r"[a-z]+\.(json|csv)")
"""The files of a snapshot: no path leads out of the directory."""


def unpack(stream: IO[bytes], out: Path) -> dict[str, int]:
    """Writes the files of a tar stream as directory `out`; returns their sizes in bytes.

    Raises UsageError if `out` is taken, ApiUnavailableError if the stream broke off or is not a
    snapshot: then there is no `out`.
    """
    with new_directory(out) as work:
        sizes: dict[str, int] = {}
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for entry in tar:
                    content = tar.extractfile(entry)
                    if content is None or not _NAME.fullmatch(entry.name):
                        raise _broken(f"{entry.name!r} is no file of a snapshot")
                    with (work / entry.name).open("wb") as file:
                        shutil.copyfileobj(content, file, 1 << 20)
                    sizes[entry.name] = entry.size
        except (tarfile.TarError, EOFError) as error:
            raise _broken("it broke off") from error
        # The manifest comes last: without it something is missing.
        if MANIFEST not in sizes or changed_files(work, read_manifest(work)):
            raise _broken("it broke off")
    return sizes


def _broken(why: str) -> ApiUnavailableError:
    return ApiUnavailableError(f"the snapshot did not come whole: {why}", "try again")
