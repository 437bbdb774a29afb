"""Words that tables and pages share; without the weight of the plots."""

from __future__ import annotations


def plural(level: str) -> str:
    """Several domains of a level: spines, leaves."""
    return f"{level[:-1]}ves" if level.endswith("f") else f"{level}s"
