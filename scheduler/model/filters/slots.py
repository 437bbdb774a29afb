"""NodeResourcesFit, the `pods` part, for one node: see `resources.py` for the rest.

Source: plugins/noderesources/fit.go (1.36). It counts for every pod, also for one that asks
for nothing; a node whose allocatable has no `pods` takes none.
"""

from __future__ import annotations

REASON = "Too many pods"


def fits(slots: int) -> bool:
    """Whether a node with `slots` free pod slots (negative = overcommitted) takes one more pod."""
    return slots >= 1
