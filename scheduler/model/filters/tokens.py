"""NodePorts, inline disks of VolumeRestrictions: what a node gives to one pod only.

What tokens look like and which of them clash is said in `scheduler/model/tokens.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.filters.columns import NodeColumns, Reasons, at_rows
from scheduler.model.shape import Shape
from scheduler.model.tokens import (
    DISK,
    PORT,
    clash,
    disk_rivals,
    port_token,
    rivals,
    token_reason,
)

__all__ = [
    "PORT",
    "TokenFilter",
    "clash",
    "port_token",
    "token_reason",
    "where_taken",
]


def where_taken(wanted: str, tokens: Mapping[str, I32]) -> list[I32]:
    """Rows of all tokens that clash with `wanted`."""
    if wanted.startswith(PORT):
        return [tokens[token] for token in rivals(wanted, tokens)]
    # Look-ups, no scan: every gang may have tokens of its own.
    held = disk_rivals(wanted) if wanted.startswith(DISK) else (wanted,)
    return [tokens[token] for token in held if token in tokens]


class TokenFilter:
    """Tokens of the shape against those taken on each node."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        codes: I16 | None = None
        for wanted in shape.tokens:
            held = where_taken(wanted, nodes.tokens)
            if not held:
                continue
            code = reasons.code(token_reason(wanted))
            refused = at_rows(np.concatenate(held), code, nodes, rows)
            codes = refused if codes is None else np.where(codes != 0, codes, refused)
        return codes
