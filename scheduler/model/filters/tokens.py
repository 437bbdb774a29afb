"""NodePorts, and required anti-affinity to itself on nodes: what a node gives to one pod only.

A token is taken by the pod whose shape names it (`Shape.tokens`):
    port:TCP/8080            a host port on every address (hostIP empty or 0.0.0.0)
    port:TCP/8080@10.0.0.1   a host port on one address (`::` is an address, not a wildcard)
    apart:NAMESPACE/SELECTOR pods that keep apart from pods like themselves
Two ports clash if port and protocol are equal and either is on every address, or both are on
the same one; other tokens clash with themselves. Source: plugins/nodeports/node_ports.go and
HostPortInfo (1.36).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.filters.columns import NodeColumns, Reasons, at_rows
from scheduler.model.shape import Shape

PORT = "port:"
APART = "apart:"
_WILDCARDS = ("", "0.0.0.0")  # noqa: S104  (a value of hostIP to compare with, not an address)


def port_token(port: int, protocol: str = "", host_ip: str = "") -> str:
    """The token of one host port; an empty protocol is TCP."""
    token = f"{PORT}{protocol or 'TCP'}/{port}"
    return token if host_ip in _WILDCARDS else f"{token}@{host_ip}"


def apart_token(namespace: str, selector: str) -> str:
    """The token of pods in `namespace` (`*` = all) that avoid nodes with pods of `selector`."""
    return f"{APART}{namespace}/{selector}"


def clash(wanted: str, taken: str) -> bool:
    """Whether a node where `taken` is taken refuses `wanted`."""
    if wanted == taken:
        return True
    if not wanted.startswith(PORT) or not taken.startswith(PORT):
        return False
    port, _, address = wanted.partition("@")
    other_port, _, other_address = taken.partition("@")
    return port == other_port and not (address and other_address)


def token_reason(token: str) -> str:
    """How a node that has already given `token` away is counted."""
    kind, _, what = token.partition(":")
    return f"host port {what} in use" if kind == "port" else "a member of the gang is there"


def _where_taken(wanted: str, tokens: Mapping[str, I32]) -> list[I32]:
    """Rows of all tokens that clash with `wanted`."""
    if not wanted.startswith(PORT):  # one look-up: every gang may have a token of its own
        return [tokens[wanted]] if wanted in tokens else []
    return [where for token, where in tokens.items() if clash(wanted, token)]


class TokenFilter:
    """Tokens of the shape against those taken on each node."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        codes: I16 | None = None
        for wanted in shape.tokens:
            held = _where_taken(wanted, nodes.tokens)
            if not held:
                continue
            code = reasons.code(token_reason(wanted))
            refused = at_rows(np.concatenate(held), code, nodes, rows)
            codes = refused if codes is None else np.where(codes != 0, codes, refused)
        return codes
