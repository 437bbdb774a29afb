"""Where the tests' cluster comes from: MUSTER_E2E=local (default), kind or existing.

A provider gives a kubeconfig and a client, and says what may be done to the cluster. Everything
made through it carries the label `e2e.muster.dev/session`, by which `close` finds it again.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e import binaries
from e2e.api import Api, Object
from e2e.local import LocalControlPlane, Options
from e2e.objects import GPU, Machine
from e2e.processes import Process, Processes

SESSION_LABEL = "e2e.muster.dev/session"
PROVIDERS = ("local", "kind", "existing")
CLEANED = (
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)
"""Cluster-scoped kinds that tests make; objects in namespaces go with their namespace."""


class RefusedError(Exception):
    """This provider does not do that; a test that needs it is skipped with this reason."""


@dataclass
class Provider:
    """A cluster for one test session. `processes` run beside it and stop with it."""

    name: str
    folder: Path
    kubeconfig: Path | None
    api: Api
    processes: Processes
    shared: bool
    """Others use the cluster too: names are made unique, nothing but our own is touched."""
    fake_nodes: bool
    """Tests may create nodes that kwok plays."""
    session: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def logs(self) -> Path:
        """The folder of every log of the session."""
        return self.folder / "logs"

    @property
    def labels(self) -> dict[str, str]:
        """What every object of the session carries."""
        return {SESSION_LABEL: self.session}

    @property
    def scheduler_name(self) -> str:
        """Whose pods the tests' Muster schedules; never those of a Muster that is there already."""
        return f"muster-e2e-{self.session}" if self.shared else "muster"

    def create_nodes(self, nodes: list[Object]) -> list[str]:
        """Creates nodes for kwok; returns their names. Raises RefusedError where it may not."""
        if not self.fake_nodes:
            raise RefusedError(
                "creating fake nodes in an existing cluster needs MUSTER_E2E_FAKE_NODES=1"
                " and a kwok that plays the nodes annotated kwok.x-k8s.io/node=fake"
            )
        for node in nodes:
            node["metadata"]["labels"].update(self.labels)
        return [node["metadata"]["name"] for node in self.api.create_all("/api/v1/nodes", nodes)]

    def start_hollow_node(
        self,
        name: str,
        machine: Machine,
        labels: Mapping[str, str],
        taints: Mapping[str, str],
    ) -> Process:
        """Starts a hollow kubelet that registers itself. Raises RefusedError where none can run."""
        del name, machine, labels, taints
        raise RefusedError(
            f"hollow kubelets need credentials of nodes: not with MUSTER_E2E={self.name}"
        )

    def close(self) -> None:
        """Deletes what the session made and stops its processes."""
        self.delete_labelled()
        self.processes.stop_all()

    def delete_labelled(self) -> None:
        """Deletes the session's cluster-scoped objects; namespaces finish in the background."""
        selector = f"{SESSION_LABEL}={self.session}"
        for version, kind in CLEANED:
            path = self.api.path_of(version, kind, "")
            if kind == "Namespace":  # namespaces have no deletecollection
                for namespace in self.api.items(path, labelSelector=selector):
                    self.api.delete(f"{path}/{namespace['metadata']['name']}")
            else:
                self.api.delete(path, labelSelector=selector)


class LocalProvider(Provider):
    """A control plane of our own (`e2e.local`): all is allowed, nothing needs cleaning up."""

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self.plane = LocalControlPlane(folder, options)
        try:
            self.plane.start()
        except BaseException:
            self.plane.stop()
            raise
        super().__init__(
            name="local",
            folder=folder,
            kubeconfig=self.plane.kubeconfig,
            api=Api(self.plane.kubeconfig),
            processes=self.plane.processes,
            shared=False,
            fake_nodes=True,
        )

    def start_hollow_node(
        self,
        name: str,
        machine: Machine,
        labels: Mapping[str, str],
        taints: Mapping[str, str],
    ) -> Process:
        """The kubelet's own code over a fake runtime, with a node's credentials."""
        program = binaries.find_or_build(["hollow-kubelet"])["hollow-kubelet"]
        # The kubelet itself sets those under kubernetes.io, and may not be told others.
        own = {key: value for key, value in labels.items() if "kubernetes.io/" not in key}
        scratch = self.folder / "hollow" / name
        remove(scratch)  # of a node of that name that an earlier test had
        scratch.mkdir(parents=True)
        command = [
            str(program),
            f"--name={name}",
            f"--kubeconfig={self.plane.kubeconfig_for(f'system:node:{name}', 'system:nodes')}",
            f"--root={scratch}",
            f"--labels={','.join(f'{key}={value}' for key, value in own.items())}",
            f"--taints={','.join(f'{key}={value}:NoSchedule' for key, value in taints.items())}",
            f"--cores={machine.cpu}",
            f"--memory={machine.memory}",
            f"--devices={GPU}={machine.gpus}",
            f"--pods={machine.pods}",
        ]
        return self.processes.start(f"kubelet-{name}", command, grace_seconds=2)

    def close(self) -> None:
        """Stops everything; the cluster goes with its data."""
        self.plane.stop()


class ExistingProvider(Provider):
    """The cluster of the current kubeconfig: namespaces of our own, cleaned up after."""

    def __init__(self, folder: Path, kubeconfig: Path | None = None) -> None:
        super().__init__(
            name="existing",
            folder=folder,
            kubeconfig=kubeconfig,
            api=Api(kubeconfig),
            processes=Processes(folder / "logs"),
            shared=True,
            fake_nodes=os.environ.get("MUSTER_E2E_FAKE_NODES") == "1",
        )


def provider_name() -> str:
    """MUSTER_E2E. Raises ValueError for a name that is none."""
    name = os.environ.get("MUSTER_E2E") or "local"
    if name not in PROVIDERS:
        raise ValueError(f"MUSTER_E2E={name}: choose one of {', '.join(PROVIDERS)}")
    return name


def open_provider(name: str, folder: Path) -> Provider:
    """The provider of that name, ready. Raises RefusedError for kind, which comes later."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "local":
        return LocalProvider(folder)
    if name == "existing":
        return ExistingProvider(folder)
    raise RefusedError("MUSTER_E2E=kind comes with the deployment on kind; use local or existing")


def remove(folder: Path) -> None:
    """Removes a session's folder after a success."""
    shutil.rmtree(folder, ignore_errors=True)
