"""Files as a tar stream, one after the other: never all of them in memory."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

PIECE = 1 << 20


def tar_pieces(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The bytes of a tar of (name, content), ended properly only if all files came."""
    for name, content in files:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        entry.mode = 0o644
        yield entry.tobuf(tarfile.GNU_FORMAT)
        view = memoryview(content)
        for start in range(0, len(content), PIECE):
            yield bytes(view[start : start + PIECE])
        yield bytes(-len(content) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
