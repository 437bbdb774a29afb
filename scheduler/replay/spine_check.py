"""Was a gang split over spines although one could have held it at that moment?"""

from __future__ import annotations

import numpy as np

from scheduler.model.names import natural_key
from scheduler.replay.result import RunResult


def gangs_split_needlessly(result: RunResult, level: int = 0) -> tuple[list[str], int]:
    """(keys of gangs split although one domain of `level` had room, gangs that had such room).

    For gangs of whole nodes: a domain's room is its wholly free nodes. The run is walked again
    from its starts and ends alone: at one instant ends come first, then starts in queue order
    (submission, then key).
    """
    tree, gangs = result.topology, result.trace.gangs
    domain = tree.domains_at(np.arange(tree.nodes), level)
    free = np.ones(tree.nodes, bool)
    starts = sorted(
        (int(result.start_us[g]), 1, int(gangs.submit_us[g]), natural_key(gangs.keys[g]), int(g))
        for g in result.placed
    )
    ends = [(int(result.end_us[g]), 0, 0, natural_key(""), int(g)) for g in result.placed]
    split: list[str] = []
    able = 0
    for now, is_start, _, _, g in sorted(starts + ends):
        rows = result.row[result.offset[g] : result.offset[g + 1]]
        rows = rows[rows >= 0]
        if not is_start:
            free[rows] = True
            continue
        room = np.bincount(domain[free & (domain >= 0)], minlength=tree.domains)
        if int(room.max()) >= rows.size:
            able += 1
            if np.unique(domain[rows]).size > 1:
                split.append(gangs.keys[g])
        free[rows] = result.end_us[g] <= now
    return split, able
