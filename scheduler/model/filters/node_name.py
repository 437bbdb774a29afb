"""NodeName: a pod that names its node may go nowhere else.

Source: plugins/nodename/node_name.go (1.36). A live cluster shows such pods only once they are
bound, so that this is no part of a shape; differential tests and reports ask for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.filters.columns import NodeColumns


def elsewhere(name: str, nodes: NodeColumns) -> npt.NDArray[np.bool_] | None:
    """bool[N]: whether the node is another one than `name`; None if the pod names none."""
    if not name:
        return None
    other: npt.NDArray[np.bool_] = np.ones(len(nodes.names), np.bool_)
    if name in nodes.names:
        other[nodes.names.index(name)] = False
    return other
