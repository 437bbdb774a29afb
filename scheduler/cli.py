"""The command `muster`: finds the subcommand, and turns errors into exit codes.

Each command is a module of `scheduler/commands/`, imported when it is named, so that
`muster version` does not wait for NumPy. Exit codes: `scheduler/errors.py`, and 130 when
interrupted.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence

import click
from click.exceptions import NoArgsIsHelpError

from scheduler.commands.interrupt import interrupted, listening
from scheduler.errors import BadInputError, MusterError

COMMANDS = (
    "run", "status", "explain", "snapshot", "config",
    "generate", "trace", "replay", "compare", "sweep",
    "plan", "verdicts", "validate", "demo", "version",
)  # fmt: skip
"""Subcommands in the order of `muster --help`; `scheduler.commands.X` defines `command`."""

INTERRUPTED = 130

_PATH_ERRORS = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError)

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of COMMANDS."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None (click then says what exists)."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"scheduler.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(name="muster", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Least severe event to log (to stderr).",
)
@click.option("--log-json", is_flag=True, help="Log one JSON object per line.")
@click.pass_context
def muster(ctx: click.Context, log_level: str, log_json: bool) -> None:
    """Places whole gangs of pods on the network's topology, and replays recorded workloads."""
    if ctx.invoked_subcommand == "version":
        return  # it logs nothing, and the logging library is most of its start-up time
    from scheduler import log

    log.configure(log_level, json=log_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (default: `sys.argv`) and returns its exit code.

    Errors that are the user's to mend are one line on stderr; anything else is a bug and
    keeps its traceback.
    """
    with listening():
        try:
            code = muster.main(
                args=None if arguments is None else list(arguments),
                prog_name="muster",
                standalone_mode=False,
            )
        except Exception as error:  # noqa: BLE001 - sorted out there; bugs are raised again
            return _told(error)
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> int:
    """Say on stderr what is wrong, and give the exit code. Raises `error` if it is a bug."""
    if isinstance(error, click.Abort) or interrupted():
        click.echo("muster: interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        click.echo(_usage(error), err=True)
        return error.exit_code
    if isinstance(error, MusterError):
        click.echo(_sentence(error), err=True)
        return error.exit_code
    if isinstance(error, _PATH_ERRORS) and error.filename is not None:
        click.echo(f"{error.filename}: {error.strerror}", err=True)
        return BadInputError.exit_code
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        click.echo(f"muster: cannot write: {error.strerror}; make room and try again", err=True)
        return MusterError.exit_code
    raise error


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "muster"
    return f"{command}: {error.format_message().rstrip('.')}; see {command} --help"


def run() -> None:
    """Entry point of the console script: `main`, then exit with its code."""
    sys.exit(main())


def _sentence(error: MusterError) -> str:
    # Bad input begins with the place, as compilers write it, so that editors can jump there.
    return str(error) if isinstance(error, BadInputError) else f"muster: {error}"
