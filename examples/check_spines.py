"""Checks a run from its files alone: no gang is split that one spine could have held.

    python examples/check_spines.py TRACE_DIR RUN_DIR [LEVEL]

Reads TRACE_DIR/nodes.csv, TRACE_DIR/gangs.csv and RUN_DIR/placements.csv and nothing of Muster:
an independent witness, for gangs of whole nodes. At one instant ends come first, then starts in
order of submission and name. Exit code 1 if a gang was split needlessly.
"""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SHOWN = 10
"""Gangs named one by one; the last line counts them all."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """Digit runs compare as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", name) if part]  # fmt: skip


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file as dicts."""
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def main(trace: Path, run: Path, level: str = "spine") -> int:
    """Walks the run in time order; returns the exit code."""
    spine_of = {row["name"]: row[level] for row in rows(trace / "nodes.csv")}
    submitted = {row["gang"]: int(row["submit_us"]) for row in rows(trace / "gangs.csv")}
    nodes, times = defaultdict(set), {}
    for row in rows(run / "placements.csv"):
        nodes[row["gang"]].add(row["node"])
        times[row["gang"]] = int(row["start_us"]), int(row["end_us"])
    events = []
    for gang, (start, end) in times.items():
        events.append((start, 1, submitted[gang], natural(gang), gang))
        events.append((end, 0, 0, [], gang))
    free = set(spine_of)
    able = split = 0
    for _, is_start, _, _, gang in sorted(events):
        if not is_start:
            free |= nodes[gang]
            continue
        if not nodes[gang] <= free:
            print(f"{gang}: a node of its is taken already")
            return 1
        room = defaultdict(int)
        for node in free:
            room[spine_of[node]] += 1
        if max(room.values()) >= len(nodes[gang]):
            able += 1
            if len({spine_of[node] for node in nodes[gang]}) > 1:
                split += 1
                if split <= SHOWN:
                    print(f"{gang}: split, though one {level} had room for its {len(nodes[gang])}")
        free -= nodes[gang]
    print(f"{len(times)} gangs placed, one {level} could hold {able} of them, {split} were split")
    return 1 if split else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
