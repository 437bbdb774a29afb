"""Draws the picture of the README: one gang of a generated workload where Muster placed it.

python examples/placed_gang.py docs/images/placed-gang.svg
"""

import sys
from pathlib import Path

import numpy as np

from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.picture import placed_gang_picture
from scheduler.replay.result import RunResult
from scheduler.replay.simulate import ReplayOptions, replay

CLUSTER = GenerateOptions(
    nodes=192, spines=6, leaf_size=8, gangs=600, sizes=(1, 32), load=0.9, longest_s=6 * 3600
)


def a_telling_gang(result: RunResult, members: int = 24) -> int:
    """The gang of `members` under one spine that began when most of the cluster was in use."""
    spine = result.topology.domains_at(np.arange(result.topology.nodes), 0)
    told: list[tuple[int, int]] = []
    for gang in result.placed.tolist():
        rows = result.row[result.offset[gang] : result.offset[gang + 1]]
        if rows.size == members and np.unique(spine[rows]).size == 1:
            now = result.start_us[gang]
            running = (result.start_us <= now) & (result.end_us > now)
            told.append((int(result.members[running].sum()), gang))
    return max(told)[1]


def main(path: Path) -> None:
    """Replays a workload and writes the picture."""
    result = replay(generate(CLUSTER), ReplayOptions(order="fifo"))
    path.parent.mkdir(parents=True, exist_ok=True)
    placed_gang_picture(result, a_telling_gang(result), path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
