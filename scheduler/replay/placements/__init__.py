"""Other rules for choosing nodes, to compare Muster's with. Each stands in a file of its own."""

from __future__ import annotations

from scheduler.plan.muster import MusterPlacement
from scheduler.plan.placement import Placement
from scheduler.replay.placements.best_fit import BestFit
from scheduler.replay.placements.first_fit import FirstFit
from scheduler.replay.placements.kai import Kai
from scheduler.replay.placements.kube_tas import KubeTas
from scheduler.replay.placements.kueue_tas import KueueTas
from scheduler.replay.placements.leaf_best_fit import LeafBestFit
from scheduler.replay.placements.random_fit import RandomFit
from scheduler.replay.placements.slurm_tree import SlurmTree
from scheduler.replay.placements.spread import Spread

NAMES = (
    "muster", "first-fit", "best-fit", "leaf-best-fit", "spread", "random",
    "kueue-tas", "kai", "kube-tas", "slurm-tree",
)  # fmt: skip


def placement(name: str, seed: int) -> Placement:
    """The rule called `name`. `seed` matters to `random` only. Raises KeyError."""
    rules: dict[str, Placement] = {
        "muster": MusterPlacement(),
        "first-fit": FirstFit(),
        "best-fit": BestFit(),
        "leaf-best-fit": LeafBestFit(),
        "spread": Spread(),
        "random": RandomFit(seed),
        "kueue-tas": KueueTas(),
        "kai": Kai(),
        "kube-tas": KubeTas(),
        "slurm-tree": SlurmTree(),
    }
    return rules[name]
