"""Every error that Muster raises on purpose, and the exit code each one ends the command with.

    MusterError               1   base: one sentence, and a hint what to do
     ├─ CheckFailedError      1   a check or a bound failed; the command itself did its work
     ├─ UsageError            2   options that cannot be meant together
     ├─ BadInputError         3   `file:line: what is wrong; what to do`
     ├─ ApiUnavailableError   4   API server unreachable or refusing
     └─ NotFoundError         5   what was named does not exist

"Unschedulable" is not an error: it is a verdict with its numbers in the Plan. ValueError and
TypeError mean a bug of the caller; nothing here catches them.
"""

from __future__ import annotations

import os
from typing import ClassVar


class MusterError(Exception):
    """An error that is told to the user in one sentence, without a traceback.

    `what` says what is wrong; `hint` says what to do about it, or is empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


class CheckFailedError(MusterError):
    """A check that the user asked for came out negative (`validate`, `bench`)."""

    exit_code = 1


class UsageError(MusterError):
    """Options or arguments that parse one by one, but not together."""

    exit_code = 2


class BadInputError(MusterError):
    """A file or object that cannot be read as what it should be.

    file: path or object name (`StatefulSet team-a/train`) as the user knows it.
    line: 1-based line, or None where the input has no lines (a JSON object, a directory).
    what / do: what is wrong there, and what to do about it.
    """

    exit_code = 3

    def __init__(
        self, file: str | os.PathLike[str], line: int | None, what: str, do: str = ""
    ) -> None:
        super().__init__(what, do)
        # Exception rebuilds itself from args when it crosses a process (pickle).
        self.args = (file, line, what, do)
        self.file = os.fspath(file)
        self.line = line

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {super().__str__()}"


class ApiUnavailableError(MusterError):
    """The API server cannot be reached, or refuses (401, 403, time-out)."""

    exit_code = 4


class NotFoundError(MusterError):
    """A gang, node or object that was named does not exist."""

    exit_code = 5
