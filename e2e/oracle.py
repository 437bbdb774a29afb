"""kube-scheduler's own filters as a function from JSON lines to JSON lines.

The program (e2e/tools/cmd/oracle) links kube-scheduler's packages; what it reads and prints is
said at the head of its main.go. `python -m e2e.oracle < cases.jsonl` builds it where it is missing
and prints the verdicts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from threading import Thread
from typing import IO

from e2e.binaries import find_or_build_oracle


class OracleError(Exception):
    """The program failed, or ended before it had answered every case."""


def run_oracle(lines: Iterable[bytes], program: Path | None = None) -> Generator[bytes, None, None]:
    """One line of verdicts for each case, in order; with or without line ends in, without out.

    `lines` is read in a thread of its own, a few cases ahead of the answers, so neither side's pipe
    can fill up while the other waits; it must not wait for answers itself. Closing the iterator
    early ends the program. `program` stands in for the oracle, which is built where it is missing.
    Raises OracleError where the program fails, and whatever `lines` raises.
    """
    command = [program or find_or_build_oracle()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = _Feeder(process.stdin, lines)
        feeder.start()
        answered = 0
        try:
            for answer in process.stdout:
                answered += 1
                yield answer.rstrip(b"\n")
        except BaseException:  # GeneratorExit above all: nobody wants the rest
            process.kill()
            raise
        finally:
            feeder.join()  # before Popen closes the pipe that it writes to
    if feeder.problem is not None:
        raise feeder.problem
    if process.returncode != 0 or answered != feeder.sent:
        raise OracleError(
            f"the oracle answered {answered} of {feeder.sent} cases"
            f" and ended with code {process.returncode}; stderr has its words"
        )


class _Feeder(Thread):
    """Writes lines until there are no more or nobody reads them."""

    def __init__(self, sink: IO[bytes], lines: Iterable[bytes]) -> None:
        super().__init__(name="oracle-feeder", daemon=True)
        self.sent = 0
        self.problem: Exception | None = None
        self._sink = sink
        self._lines = lines

    def run(self) -> None:
        """Closes the sink at the end, whatever happens."""
        try:
            with self._sink as sink:
                for line in filter(bytes.strip, self._lines):  # a blank line is no case
                    self.sent += 1
                    sink.write(line.rstrip(b"\n") + b"\n")
        except BrokenPipeError:
            pass  # the program has ended; its code and the count of answers tell
        except Exception as problem:  # noqa: BLE001  # raised again in the caller's thread
            self.problem = problem


if __name__ == "__main__":
    for verdicts in run_oracle(sys.stdin.buffer):
        print(verdicts.decode())
