"""The command line: exit codes, errors in one line, a quick start."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from scheduler import __version__, cli
from scheduler.errors import (
    ApiUnavailableError,
    BadInputError,
    CheckFailedError,
    MusterError,
    NotFoundError,
    UsageError,
)


def _raising(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("fail", callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CheckFailedError("2 of 5 figures are off"), 1, "muster: 2 of 5 figures are off"),
        (UsageError("-a and -b", "give one"), 2, "muster: -a and -b; give one"),
        (BadInputError("g.csv", 7, "no count", "add one"), 3, "g.csv:7: no count; add one"),
        (BadInputError("dir", None, "is empty"), 3, "dir: is empty"),
        (ApiUnavailableError("no answer", "try again"), 4, "muster: no answer; try again"),
        (NotFoundError("no gang a/b/c"), 5, "muster: no gang a/b/c"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 3, "x.csv: No such file"),
        (KeyboardInterrupt(), 130, "muster: interrupted"),
        (click.UsageError("bad option"), 2, "Error: bad option"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_its_exit_code(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Errors of the user's making end with their code, a line on stderr, nothing on stdout."""
    monkeypatch.setattr("scheduler.commands.version.command", _raising(error))
    assert cli.main(["version"]) == code
    printed = capsys.readouterr()
    assert line in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is not dressed up as the user's mistake."""
    monkeypatch.setattr("scheduler.commands.version.command", _raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["version"])


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`muster X --help` works for every command in the list."""
    assert cli.main([command, "--help"]) == 0
    assert f"muster {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["replay"],
        ["replay", ".", "--out", "x", "--levels", "leaf=8,x"],
        ["generate", "--gangs", "1", "--nodes", "1", "--sizes", "9:2", "--out", "x"],
        ["generate", "--gangs", "1", "--nodes", "1", "--cluster", ".", "--out", "x"],
        ["generate", "--gangs", "1", "--out", "x"],
        ["trace", "import", "helios", "--jobs", "pyproject.toml", "--pool", "a=", "--out", "x"],
        ["compare", ".", "--out", "x"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    """Options that cannot be read, or not together, are refused before any work."""
    assert cli.main(arguments) == 2


def test_version_does_not_import_the_planner() -> None:
    """`muster version` prints the version without loading NumPy or the logging library."""
    script = (
        "import sys; from scheduler.cli import main; main(['version']);"
        "print(sorted({'numpy', 'structlog', 'rich', 'matplotlib', 'networkx'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [f"muster {__version__}", "[]"]


def test_an_error_survives_a_process_boundary() -> None:
    """Every error of the tree can be pickled and comes back the same."""
    import pickle

    errors: list[MusterError] = [
        NotFoundError("no gang", "look"),
        BadInputError("g.csv", 7, "no count", "add one"),
    ]
    for error in errors:
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))
