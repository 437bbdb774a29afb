"""The command line: exit codes, errors in one line, a quick start."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

import click
import pytest

from scheduler import __version__, cli
from scheduler.commands.output import progress
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
        (OSError(28, "No space left on device"), 1, "muster: cannot write: No space left"),
        (KeyboardInterrupt(), 130, "muster: interrupted"),
        (
            click.UsageError("bad option"),
            2,
            "muster version: bad option; see muster ver",
        ),
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
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is not dressed up as the user's mistake."""
    monkeypatch.setattr("scheduler.commands.version.command", _raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["version"])


def test_ctrl_c_that_a_library_swallows_is_heard_at_the_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NumPy takes any exception of an attribute lookup for "no"; the run ends all the same."""
    steps: list[int] = []

    def work() -> None:
        with progress("work") as step:
            with contextlib.suppress(BaseException):
                signal.raise_signal(signal.SIGINT)
            steps.append(1)
            step(1, 2)
            steps.append(2)

    monkeypatch.setattr("scheduler.commands.version.command", click.Command("w", callback=work))
    before = signal.getsignal(signal.SIGINT)
    assert cli.main(["version"]) == cli.INTERRUPTED
    assert steps == [1]
    assert capsys.readouterr().err.strip() == "muster: interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    assert cli.main(["--help"]) == 0


def test_ctrl_c_that_became_another_error_is_still_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python 3.11 wraps it in a RuntimeError when it comes inside a class body."""

    def work() -> None:
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("Error calling __set_name__")

    monkeypatch.setattr("scheduler.commands.version.command", click.Command("w", callback=work))
    assert cli.main(["version"]) == cli.INTERRUPTED
    assert capsys.readouterr().err.strip() == "muster: interrupted"


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
        ["replay", ".", "--out", "x", "--fill", "nan"],
        ["replay", ".", "--out", "x", "--fill", "inf"],
        ["replay", ".", "--out", "x", "--fill", "1e300"],
        ["replay", ".", "--out", "tests"],
        ["replay", ".", "--out", "pyproject.toml"],
        ["replay", ".", "--out", "no/such/parent"],
        ["generate", "--gangs", "1", "--nodes", "1", "--load", "nan", "--out", "x"],
        ["generate", "--gangs", "1", "--nodes", "9999999999", "--out", "x"],
        ["generate", "--gangs", "1", "--nodes", "1", "--sizes", "9:2", "--out", "x"],
        ["generate", "--gangs", "1", "--nodes", "1", "--cluster", ".", "--out", "x"],
        ["generate", "--gangs", "1", "--out", "x"],
        ["trace", "import", "helios", "--jobs", "pyproject.toml", "--pool", "a=", "--out", "x"],
        ["compare", ".", "--out", "x"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that cannot be read, or not together, are refused before any work, in one line."""
    assert cli.main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


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
