"""How cases go to the oracle and answers come back; stand-ins play the program."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import binaries
from e2e.oracle import OracleError, run_oracle

CAT = Path(shutil.which("cat") or "/bin/cat")


def script(directory: Path, text: str) -> Path:
    """An executable shell script."""
    path = directory / "oracle"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_both_pipes_are_served_at_once() -> None:
    """Far more than a pipe holds goes in and out, in order, with blank lines left out."""
    cases = [b"%d %s" % (i, b"x" * 500) for i in range(10_000)]
    lines = itertools.chain([b"\n"], (case + b"\n" for case in cases), [b"  "])
    assert list(run_oracle(lines, CAT)) == cases


def test_a_program_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """An answer that is missing is not taken for agreement."""
    answers = run_oracle(itertools.repeat(b"{}", 5), script(tmp_path, "head -n 3"))
    with pytest.raises(OracleError, match="answered 3 of"):
        list(answers)


def test_a_program_that_fails_is_an_error(tmp_path: Path) -> None:
    """All answers are there, but the program says that something went wrong."""
    with pytest.raises(OracleError, match="ended with code 7"):
        list(run_oracle([b"{}"], script(tmp_path, "cat; exit 7")))


def test_an_error_of_the_cases_reaches_the_caller() -> None:
    """A generator of cases that breaks down does so in the caller's thread."""

    def lines() -> Iterator[bytes]:
        yield b"{}"
        raise ValueError("no more ideas")

    with pytest.raises(ValueError, match="no more ideas"):
        list(run_oracle(lines(), CAT))


def test_closing_early_ends_the_program() -> None:
    """Whoever has seen enough of endless cases is not held up."""
    answers = run_oracle(itertools.repeat(b"{}"), CAT)
    assert next(answers) == b"{}"
    answers.close()
    assert list(answers) == []


def test_the_oracle_is_of_these_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the cache is found; one of other sources, or on PATH, is another program."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = binaries.cache_of(binaries.ORACLE)
    cache.mkdir(parents=True)
    for other in ("oracle", "oracle-00000000"):
        shutil.copy(CAT, cache / other)
    monkeypatch.setenv("PATH", str(cache))
    assert binaries.find_oracle() is None
    path = cache / binaries.ORACLE.file_name("oracle")
    shutil.copy(CAT, path)
    assert binaries.find_oracle() == path == binaries.find_or_build_oracle()
