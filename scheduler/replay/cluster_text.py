"""cluster.json as text, piece by piece.

A large one takes a second to encode; in pieces, other threads of the process have their turn
between two of them, and the entries of a list need not exist all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from scheduler.replay.cluster_file import ClusterFile

TOGETHER = 100
"""Entries of a list that are encoded at once: a few milliseconds."""


def cluster_text(cluster: ClusterFile) -> Iterator[bytes]:
    """The bytes of cluster.json: keys sorted, one value a line, indented by one a level."""
    names = sorted(field.encode_name for field in msgspec.structs.fields(cluster))
    for at, name in enumerate(names):
        yield b",\n " if at else b"{\n "
        yield msgspec.json.encode(name) + b": "
        value = getattr(cluster, name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield from _list(value)
        else:
            yield _text(value, b"\n ")
    yield b"\n}\n"


def _list(values: Sequence[object]) -> Iterator[bytes]:
    if not values:
        yield b"[]"
        return
    yield b"[\n  "
    for start in range(0, len(values), TOGETHER):
        some = values[start : start + TOGETHER]
        yield (b",\n  " if start else b"") + b",\n  ".join(_text(one, b"\n  ") for one in some)
    yield b"\n ]"


def _text(value: object, line: bytes) -> bytes:
    """One value; a line break is never inside a text, where it is escaped."""
    text = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1)
    return text.replace(b"\n", line)
