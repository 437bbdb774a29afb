"""One order of resources per process: every request and node column is a vector in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
GPU = "nvidia.com/gpu"
PODS = "pods"
"""Pod slots. They are a column of their own (`Snapshot.slots`), never part of the vector."""

VOLUME_ROOM = "volumes of "
"""Before the name of a CSI driver: how many more of its volumes a node may attach. Muster's own:
no resource of Kubernetes has a blank in its name."""

_CORE = (CPU, MEMORY, EPHEMERAL_STORAGE)

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ResourceOrder:
    """Names in vector order: cpu (milli), memory (bytes), ephemeral-storage (bytes), others.

    Units of the others are whole devices (or bytes for `hugepages-*`).
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> ResourceOrder:
        """The order over `names`: cpu and memory always, then the core ones, then by name."""
        wanted = {CPU, MEMORY, *names} - {PODS}
        core = [name for name in _CORE if name in wanted]
        return cls((*core, *sorted(wanted - set(_CORE))))

    def __len__(self) -> int:
        return len(self.names)

    def widened(self, names: Iterable[str]) -> ResourceOrder:
        """The order over these names and `names`; itself if it has them all."""
        more = set(names) - {PODS, *self.names}
        return ResourceOrder.of((*self.names, *more)) if more else self

    def index(self, name: str) -> int:
        """Column of `name`. Raises KeyError if the process has no such resource."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def vector(self, amounts: Mapping[str, int]) -> tuple[int, ...]:
        """`amounts` as a vector; a missing resource is 0. Raises KeyError on an unknown one."""
        for name in amounts:
            if name not in self.names and name != PODS:
                raise KeyError(name)
        return tuple(amounts.get(name, 0) for name in self.names)
