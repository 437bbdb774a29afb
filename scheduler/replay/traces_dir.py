"""Where real traces are looked for: they are not part of the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "MUSTER_TRACES"

WHERE = f"no real traces: set {VARIABLE} to their directory, or put them in ../shared/traces"
"""What a test or demo prints when it skips."""


def traces_dir(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The directory of real traces, or None.

    `$MUSTER_TRACES` if it is set (nothing else is tried then), else `../shared/traces` beside
    the source checkout, else beside the working directory.
    """
    named = environ.get(VARIABLE)
    if named:
        path = Path(named)
        return path if path.is_dir() else None
    checkout = Path(__file__).resolve().parents[2]
    for root in (checkout, Path.cwd()):
        path = root.parent / "shared" / "traces"
        if path.is_dir():
            return path
    return None


def real_trace(relative: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """One file of the real traces (`helios/helios_venus_2vc_sept.csv`), or None."""
    root = traces_dir(environ)
    path = root / relative if root else None
    return path if path and path.is_file() else None
