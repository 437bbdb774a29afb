"""The documents speak of what exists: links, make targets, commands, options."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scheduler import cli

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))

LIVE = {"fit", "verdicts"}
"""Commands that come with the live scheduler; a document may announce them."""


def relative(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(ROOT).as_posix()


def anchors(document: Path) -> set[str]:
    """The anchors that the headings of a document make."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def code(document: Path) -> Iterator[str]:
    """Every inline code span and every line of a code block, without prompt and comment."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+#.*", "", line).removeprefix("$ ").strip()
    yield from re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link or picture names a file of the repository, and a heading in it."""
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|<img[^>]*\ssrc=\"([^\"]+)\"", text)
    broken = []
    for target in (a or b for a, b in targets):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        missing = not file.exists() or not file.is_relative_to(ROOT)
        if missing or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_make_targets_exist(document: Path) -> None:
    """Every `make X` in code is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = {m for span in code(document) for m in re.findall(r"\bmake ([a-z][a-z0-9-]*)", span)}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_and_options_exist(document: Path) -> None:
    """Every `muster X --option` in code is a command of this version with such an option."""
    wrong = []
    for span in code(document):
        match = re.match(r"(?:\.venv/bin/)?muster ([a-z].*)", span)
        if match and (fault := _fault(match[1])):
            wrong.append(f"{span}: {fault}")
    assert wrong == []


def test_every_command_is_documented() -> None:
    """README or docs/ show each command at least once."""
    shown = {m for d in DOCUMENTS for span in code(d) for m in re.findall(r"muster ([a-z]+)", span)}
    assert set(cli.COMMANDS) <= shown


def test_the_changelog_knows_this_version_or_the_next() -> None:
    """There is a place for what is not released yet."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_pin_what_the_project_asks_for() -> None:
    """Every dependency, of the commands or of the tools, has one exact version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    asked += [entry for group in groups.values() for entry in group if isinstance(entry, str)]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if "==" in line}
    assert {_name(entry) for entry in asked} <= pinned
    assert [line for line in lines if line and not re.match(r"#|[\w.-]+==[\w.+-]+$", line)] == []


def _name(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _fault(command_line: str) -> str:
    """What is wrong with the words after `muster`, or nothing."""
    words = shlex.split(re.split(r"[|;&>]", command_line.split(" <", maxsplit=1)[0])[0])
    if words[0] in LIVE:
        return ""
    command: click.Command = cli.muster
    context = click.Context(command)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        if found is None:
            return "no such command"
        command = found
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = {word.split("=")[0] for word in words if word.startswith("-")} - known
    return f"no such option: {', '.join(sorted(unknown))}" if unknown else ""
