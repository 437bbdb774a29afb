"""The two programs that judge cases: `muster verdicts` and the oracle made of kube-scheduler."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from e2e.oracle import run_oracle
from scheduler.errors import BadInputError
from scheduler.verdicts import verdicts_of
from tests.verdicts.generate import line
from tests.verdicts.world import Json

Answer = dict[str, Any]
"""`{id, verdicts}`, or `{id, error}` where a case cannot be read."""

Side = Callable[[Sequence[bytes]], list[Answer]]


class SideError(Exception):
    """One of the programs failed, or answered other lines than it was asked."""


def muster(lines: Sequence[bytes]) -> list[Answer]:
    """What `muster verdicts` prints for each line; if one cannot be read, line by line which.

    -P: of the installed package, not of the checkout. Raises SideError if the command breaks.
    """
    command = [sys.executable, "-P", "-m", "scheduler", "verdicts"]
    done = subprocess.run(command, input=b"\n".join(lines), capture_output=True, check=False)
    if done.returncode == BadInputError.exit_code:
        return muster_here(lines)
    if done.returncode != 0:
        raise SideError(f"muster verdicts: {done.stderr.decode(errors='replace')[-500:]}")
    return [json.loads(each) for each in done.stdout.splitlines()]


def muster_here(lines: Sequence[bytes]) -> list[Answer]:
    """The same in this process; a case that cannot be read or judged gives `{id, error}`."""
    return [_judged(each) for each in lines]


def _judged(text: bytes) -> Answer:
    try:
        return verdicts_of(text)
    except Exception as error:  # noqa: BLE001  (any case that breaks Muster is a find)
        return {"id": json.loads(text)["id"], "error": f"{type(error).__name__}: {error}"}


def oracle(lines: Sequence[bytes]) -> list[Answer]:
    """What kube-scheduler's own code says of each line."""
    return [json.loads(each) for each in run_oracle(lines)]


def both(
    cases: Sequence[Json], sides: tuple[Side, Side] = (muster, oracle)
) -> list[tuple[Answer, Answer]]:
    """(ours, theirs) for each case; the two run side by side. Raises SideError."""
    lines = [line(case).encode() for case in cases]
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = (found.result() for found in [pool.submit(side, lines) for side in sides])
    for name, answers in (("muster verdicts", ours), ("the oracle", theirs)):
        if [each["id"] for each in answers] != [case["id"] for case in cases]:
            raise SideError(f"{name} answered {len(answers)} lines for {len(cases)} cases")
    return list(zip(ours, theirs, strict=True))
