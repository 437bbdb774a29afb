"""Tokens: names of what a node gives to one pod only, and which of them clash.

A token is taken by the pod whose shape names it (`Shape.tokens`):
    port:TCP/8080            a host port on every address (hostIP empty or 0.0.0.0)
    port:TCP/8080@10.0.0.1   a host port on one address (`::` is an address, not a wildcard)
    disk:gce-pd/NAME         an inline disk, written to; `disk:iscsi/IQN` and, one for each
    disk:rbd/POOL/IMAGE@MON  monitor, `disk:rbd/...` likewise
    disk:gce-pd:ro/NAME      the same, only read
    disk:ebs/VOLUME          an inline EBS volume, read or written
Two ports clash if port and protocol are equal and either is on every address, or both are on
the same one. A disk clashes with the same disk unless both are only read. Other tokens clash
with themselves. Sources: plugins/nodeports/node_ports.go, HostPortInfo and isVolumeConflict of
plugins/volumerestrictions/volume_restrictions.go (1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote

PORT = "port:"
DISK = "disk:"
DISK_IN_USE = "inline disk in use"
_READ_ONLY = ":ro/"
_WILDCARDS = ("", "0.0.0.0")  # noqa: S104  (a value of hostIP to compare with, not an address)


def port_token(port: int, protocol: str = "", host_ip: str = "") -> str:
    """The token of one host port; an empty protocol is TCP."""
    token = f"{PORT}{protocol or 'TCP'}/{port}"
    return token if host_ip in _WILDCARDS else f"{token}@{host_ip}"


def disk_token(kind: str, name: str, *, read_only: bool = False) -> str:
    """The token of an inline disk; `name` is any text."""
    return f"{DISK}{kind}{_READ_ONLY if read_only else '/'}{quote(name, safe='')}"


def rbd_tokens(
    monitors: Iterable[str], pool: str, image: str, *, read_only: bool = False
) -> set[str]:
    """The tokens of an inline RBD image: two are the same if they share a monitor, so one each."""
    start = f"{DISK}rbd{_READ_ONLY if read_only else '/'}"
    path = "/".join(quote(part, safe="") for part in (pool, image))
    return {f"{start}{path}@{quote(monitor, safe='')}" for monitor in monitors}


def clash(wanted: str, taken: str) -> bool:
    """Whether a node where `taken` is taken refuses `wanted`."""
    if wanted.startswith(DISK):
        return taken in disk_rivals(wanted)
    if wanted == taken:
        return True
    if not wanted.startswith(PORT) or not taken.startswith(PORT):
        return False
    port, _, address = wanted.partition("@")
    other_port, _, other_address = taken.partition("@")
    return port == other_port and not (address and other_address)


def disk_rivals(token: str) -> tuple[str, ...]:
    """The tokens that clash with the one of a disk."""
    kind, mark, name = token.partition(_READ_ONLY)
    if mark:
        return (f"{kind}/{name}",)
    kind, _, name = token.partition("/")
    return (token, f"{kind}{_READ_ONLY}{name}")


def excludes_itself(tokens: Iterable[str]) -> bool:
    """Whether two pods with these tokens cannot be on one node."""
    known = tuple(tokens)
    return any(clash(wanted, taken) for wanted in known for taken in known)


def token_reason(token: str) -> str:
    """How a node that has already given `token` away is counted."""
    if token.startswith(DISK):
        return DISK_IN_USE
    kind, _, what = token.partition(":")
    return f"host port {what} in use" if kind == "port" else f"{token} in use"


def rivals(wanted: str, taken: Iterable[str]) -> Iterator[str]:
    """Those of `taken` that clash with `wanted`."""
    return (token for token in taken if clash(wanted, token))
