"""Muster as a process beside the cluster: its own service account, its own log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e.api import Api, Object
from e2e.certs import write_kubeconfig
from e2e.objects import LEAF, SPINE
from e2e.processes import Process, Processes, free_port, wait_until
from e2e.provider import Provider

RBAC = Path(__file__).resolve().parent / "rbac.yaml"
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
ASKING = ("status", "explain", "snapshot")
"""Commands that ask a running scheduler."""
TOKEN_SECONDS = 3600
LEVELS = [{"name": "spine", "label": SPINE}, {"name": "leaf", "label": LEAF}]


def default_config(scheduler_name: str) -> Object:
    """Two levels and nothing else: what a test does not say, Muster decides."""
    return {
        "apiVersion": "muster.dev/v1alpha1",
        "kind": "MusterConfiguration",
        "profiles": [{"schedulerName": scheduler_name, "levels": LEVELS}],
    }


def install_access(provider: Provider) -> Path:
    """Creates the service account with its rights; returns a kubeconfig that has its token."""
    name = f"muster-{provider.session}"
    api = provider.api
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": provider.labels},
    }
    api.create("/api/v1/namespaces", namespace)
    for document in yaml.safe_load_all(RBAC.read_text()):
        api.create(*_renamed(api, document, name, provider.labels))
    return write_access(provider, name)


def write_access(provider: Provider, name: str) -> Path:
    """A kubeconfig whose token is read from a file, as in a pod; makes a new token."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    path = f"/api/v1/namespaces/{name}/serviceaccounts/{name}/token"
    token = provider.folder / "muster.token"
    token.touch(mode=0o600)
    token.write_text(provider.api.create(path, request)["status"]["token"])
    kubeconfig = provider.folder / "muster.kubeconfig"
    authority = Path(provider.api.authority) if provider.api.authority else None
    write_kubeconfig(kubeconfig, provider.api.server, authority, {"tokenFile": str(token)})
    return kubeconfig


def _renamed(
    api: Api, document: Object, name: str, labels: Mapping[str, str]
) -> tuple[str, Object]:
    """Path and body of one object of rbac.yaml, with the session's name for `muster`."""
    body = json.loads(json.dumps(document))
    body["metadata"] |= {"name": name, "labels": dict(labels)}
    if "namespace" in body["metadata"]:
        body["metadata"]["namespace"] = name
    if "roleRef" in body:
        body["roleRef"]["name"] = name
        for subject in body["subjects"]:
            subject |= {"name": name, "namespace": name}
    return api.path_of(body["apiVersion"], body["kind"], name), body


class Muster:
    """`muster run`, started, asked, stopped and started again by a test.

    `log` grows over restarts; `url` is that of the last start.
    """

    def __init__(self, processes: Processes, kubeconfig: Path, config: Path, name: str) -> None:
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._config = config
        self._name = name
        self._process: Process | None = None
        self.url = ""

    @property
    def log(self) -> Path:
        """Everything it wrote."""
        return self._processes.logs / f"{self._name}.log"

    @property
    def process(self) -> Process:
        """The running process. Raises RuntimeError before `start`."""
        if self._process is None:
            raise RuntimeError("muster has not been started")
        return self._process

    def start(self, *, wait: bool = True) -> Muster:
        """Starts it and returns once /readyz says so (at once without `wait`)."""
        address = f"127.0.0.1:{free_port()}"
        command = [
            # -P: the directory it starts in must not hide the installed package.
            sys.executable, "-P", "-m", "scheduler", "run",
            "--config", str(self._config),
            "--kubeconfig", str(self._kubeconfig),
            "--listen", address,
        ]  # fmt: skip
        self.url = f"http://{address}"
        self._process = self._processes.start(self._name, command, grace_seconds=STOP_SECONDS)
        if wait:
            wait_until("muster", self.ready, seconds=READY_SECONDS, process=self._process)
        return self

    def ready(self) -> bool:
        """/readyz answers 200."""
        try:
            self.get("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def get(self, path: str) -> str:
        """The body of an answer. Raises HTTPError (a URLError) for other statuses than 2xx."""
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            body: bytes = response.read()
            return body.decode()

    def json(self, path: str) -> Any:
        """The answer, decoded."""
        return json.loads(self.get(path))

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of /metrics with that name and these labels; 0 if there are none."""
        total = 0.0
        for line in self.get("/metrics").splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(
                f'{key}="{wanted}"' in sample for key, wanted in labels.items()
            ):
                total += float(value)
        return total

    def command(self, *arguments: str, folder: Path | None = None) -> str:
        """What `muster ARGUMENTS` prints, both streams; it runs in `folder`.

        Raises AssertionError if it fails.
        """
        command = [sys.executable, "-P", "-m", "scheduler", *arguments]
        if arguments[0] in ASKING:
            command += ["--address", self.url.removeprefix("http://")]
        result = subprocess.run(
            command, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        if result.returncode:
            said = f"{' '.join(arguments)} ended with {result.returncode}"
            raise AssertionError(f"muster {said}: {result.stdout.strip()}")
        return result.stdout

    def stop(self) -> int:
        """SIGTERM; returns its exit code (negative: it had to be killed)."""
        process = self.process
        if process.running():
            self._processes.stop([process])
        code = process.exit_code
        assert code is not None
        return code

    def kill(self) -> None:
        """SIGKILL: what a lost node or an OOM does to it."""
        self.process.kill()

    def restart(self) -> float:
        """Stops and starts it; returns the seconds until it was ready again."""
        self.stop()
        started = time.monotonic()
        self.start()
        return time.monotonic() - started
