"""The page of a story in docs/stories: its YAML is applied, its output is what is really printed.

A page is written for a namespace `team` and a Muster at the default address. Blocks that begin
with `$ ` are commands with their output; `Page.run` runs one and compares. Not compared are amounts
of time, the width of columns, which depends on the length of names, and the order of lines.

With MUSTER_E2E_WRITE_PAGES=1 what is printed is written into the page instead, to be read and
committed.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import yaml

from e2e import binaries
from e2e.api import Object
from e2e.cluster import MUSTER, Cluster
from e2e.muster import Muster

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "stories"
NAMESPACE = "team"
PATIENCE_SECONDS = 10.0
ONCE = {"delete", "--out"}
"""Words of commands that are not repeated."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIMES = (
    (re.compile(r"\b\d\d:\d\d:\d\d UTC\b"), "TIME"),
    (re.compile(r"\b(\d+[dhm])*\d+(\.\d+)? ?m?s\b|\b\d+m\b"), "TIME"),
)
_RULE = re.compile("─+")


class Page:
    """One page, for a test that follows it."""

    def __init__(self, cluster: Cluster, name: str, folder: Path | None = None) -> None:
        """folder: where commands run that read or write files."""
        self.cluster = cluster
        self.folder = folder
        self.path = FOLDER / name
        self.names: dict[str, str] = {}
        """Names of the page that stand for others in this run."""
        self._text = self.path.read_text()

    # --- what the user writes ---

    @cached_property
    def _objects(self) -> dict[tuple[str, str], Object]:
        """(kind, name) -> every object of the page's YAML."""
        blocks = [text for language, text in _BLOCK.findall(self._text) if language == "yaml"]
        bodies = [body for text in blocks for body in yaml.safe_load_all(text)]
        return {(body["kind"], body.get("metadata", {}).get("name", "")): body for body in bodies}

    def object(self, kind: str, name: str = "") -> Object:
        """The object as the page has it. Raises KeyError if it has none."""
        return copy.deepcopy(self._objects[kind, name])

    def apply(self, kind: str, name: str) -> Object:
        """Creates the object of the page, as `create` does."""
        return self.create(self.object(kind, name))

    def create(self, body: Object) -> Object:
        """Creates an object, its pods on the test's nodes and for the test's Muster.

        A namespace of the page that it names becomes that of the test.
        """
        theirs = rf'("namespace": "){NAMESPACE}\b'
        body = json.loads(re.sub(theirs, rf"\g<1>{self.cluster.namespace}", json.dumps(body)))
        pod = body if body["kind"] == "Pod" else body.get("spec", {}).get("template")
        if pod is not None:
            name = self.cluster.scheduler_like(pod["spec"].get("schedulerName", MUSTER))
            own = self.cluster.own(scheduler=name).spec
            selector = {**pod["spec"].get("nodeSelector", {}), **own["nodeSelector"]}
            tolerations = [*pod["spec"].get("tolerations", ()), *own["tolerations"]]
            pod["spec"] |= {**own, "nodeSelector": selector, "tolerations": tolerations}
        return self.cluster.create(body)

    # --- what he sees ---

    def commands(self) -> list[str]:
        """The commands of the page, in its order."""
        blocks = "".join(text for _language, text in _BLOCK.findall(self._text))
        return re.findall(r"^\$ (.*)$", blocks, re.MULTILINE)

    def run(
        self, command: str, muster: Muster | None = None, *, nth: int = 0, exact: bool = True
    ) -> None:
        """Runs a command of the page and compares what it prints.

        A question is asked again for a while: what others write may come a moment later.
        nth: of several outputs of the same command on the page, from 0. exact: whether numbers
        are compared. Raises AssertionError if it fails, or if the page shows something else.
        """
        until = time.monotonic() + (0 if ONCE & set(command.split()) else PATIENCE_SECONDS)
        while True:
            printed = self._run(command, muster)
            shown = self._outputs(command)[nth][1]
            same = plain(printed, exact=exact) == plain(shown, exact=exact)
            if same or self.cluster.provider.shared:
                return
            if time.monotonic() > until:
                break
            time.sleep(0.5)
        if os.environ.get("MUSTER_E2E_WRITE_PAGES") == "1":
            self._write(command, printed, nth)
            return
        raise AssertionError(
            f"{self.path.name} does not show this for `{command}`:\n{printed}\nit shows:\n{shown}"
        )

    def _run(self, command: str, muster: Muster | None) -> str:
        """What the command prints, in the page's words."""
        name, *arguments = [
            _replaced(word, {**self.names, NAMESPACE: self.cluster.namespace})
            for word in shlex.split(command)
        ]
        if name == "kubectl":
            printed = self._kubectl(arguments)
        else:
            assert muster is not None, command
            printed = muster.command(*arguments, folder=self.folder)
        printed = _for_reader(printed, self.cluster.namespace)
        return _replaced(printed, {actual: name for name, actual in self.names.items()})

    def _kubectl(self, arguments: list[str]) -> str:
        """What kubectl prints, both streams. Raises AssertionError if it fails."""
        program = str(binaries.find_or_build(["kubectl"])["kubectl"])
        kubeconfig = self.cluster.provider.kubeconfig
        access = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
        result = subprocess.run(
            [program, *access, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"kubectl {shlex.join(arguments)}: {result.stdout}"
        return result.stdout

    def _write(self, command: str, printed: str, nth: int) -> None:
        """The page shows what was printed."""
        found = self._outputs(command)[nth]
        self._text = self._text[: found.start(1)] + printed + self._text[found.end(1) :]
        self.path.write_text(self._text)

    def _outputs(self, command: str) -> list[re.Match[str]]:
        """Where the page shows the command; group 1 is its output."""
        pattern = rf"^\$ {re.escape(command)}\n(.*?)(?=^\$ |^```$)"
        return list(re.finditer(pattern, self._text, re.MULTILINE | re.DOTALL))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """The text with all of these words replaced at once."""
    if not words:
        return text
    pattern = "|".join(map(re.escape, words))
    return re.sub(rf"\b({pattern})\b", lambda match: words[match[0]], text)


def _for_reader(text: str, namespace: str) -> str:
    """With the page's namespace, columns where they were, no space at the ends of lines."""
    spaces = " " * max(len(namespace) - len(NAMESPACE), 0)
    text = re.sub(rf"\b{namespace}\b(\S*)(?=  )", rf"{NAMESPACE}\1{spaces}", text)
    text = text.replace(namespace, NAMESPACE)
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def plain(text: str, *, exact: bool) -> list[list[str]]:
    """Lines as words, sorted, without times and rules; empty lines do not count.

    exact: whether numbers count.
    """
    for pattern, word in _TIMES:
        text = pattern.sub(word, text)
    if not exact:
        text = re.sub(r"\d[\d,]*", "NUMBER", text)
    lines = [_RULE.sub("─", line).split() for line in text.splitlines()]
    return sorted(words for words in lines if words)
