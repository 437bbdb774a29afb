"""Do the recorded verdicts notice a wrong filter? Every mutant against the corpus.

    python -m tests.verdicts.mutate [--jobs N] [--only MODULE]

A mutant is killed by the first recorded case that it answers otherwise, by an exception, or by
taking too long. What the corpus lets live may still be killed by the unit tests of the filters:
they hold Muster's own texts, and columns of a part of the nodes, which no verdict shows.
Exit code 1 if less than 95 % are killed, or if a survivor is not listed in survivors.toml with
the reason why it is no fault.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from tests.verdicts import mutants
from tests.verdicts.forks import Forks
from tests.verdicts.mutants import Mutant

SURVIVORS = Path(__file__).with_name("survivors.toml")
ENOUGH = 0.95
TESTS = mutants.ROOT / "tests"
LONGEST = 120
"""Seconds of CPU time; the plain code takes a third of it for the whole corpus."""

BY_CORPUS, BY_TESTS, LISTED, SURVIVED = "by corpus", "by unit tests", "listed", "survived"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One case of the corpus: its text, what was read from it, kube-scheduler's answer."""

    text: bytes
    case: dict[str, Any]
    answer: dict[str, Any]


def recorded() -> list[Recorded]:
    """The corpus, the filters in turn, so that any part of it shows all of them."""
    from tests.verdicts.corpus import CORPUS, read
    from tests.verdicts.generate import line

    files = [list(read(path)) for path in sorted(CORPUS.glob("*.xz"))]
    turns = max(map(len, files), default=0)
    records = [file[i] for i in range(turns) for file in files if i < len(file)]
    return [Recorded(line(case).encode(), case, answer) for case, answer in records]


def differs(each: Recorded) -> bool:
    """Whether a case is answered otherwise now, or not at all."""
    from scheduler.verdicts import verdicts_of
    from tests.verdicts.compare import differences, excuse

    try:
        found = differences(verdicts_of(each.text), each.answer)
    except Exception:  # noqa: BLE001  (a mutant may raise anything)
        return True
    return any(not excuse(each.case, difference) for difference in found)


class Trial:
    """The corpus as a judge of mutants."""

    def __init__(self, corpus: Sequence[Recorded]) -> None:
        self._corpus = corpus
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            self.reached = pool.submit(_survey, corpus).result()
        self._killers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._modules: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def judge(self, mutant: Mutant) -> int:
        """1 + the number of the first case that differs with `mutant` switched on; 0 = none."""
        mutants.switch_on(mutant.name)
        for number in self._order(mutant):
            if differs(self._corpus[number]):
                return number + 1
        return 0

    def learn(self, mutant: Mutant, number: int) -> None:
        """Cases that killed go first with other mutants of the same function and module."""
        self._killers[mutant.module, mutant.function].append(number - 1)
        self._modules[mutant.module][number - 1] += 1

    def _order(self, mutant: Mutant) -> list[int]:
        """Cases in which its function is called, the most promising first."""
        reached = self.reached.get(mutant.mangled, [])
        likely = [*reversed(self._killers[mutant.module, mutant.function])]
        likely += [number for number, _ in self._modules[mutant.module].most_common(200)]
        calls = set(reached)
        return list(dict.fromkeys([*(each for each in likely if each in calls), *reached]))


def _survey(corpus: Sequence[Recorded]) -> dict[str, list[int]]:
    """Function -> cases in which it is called; without a mutant none may differ."""
    mutants.switch_on("stats")
    mutants.called()
    reached: defaultdict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(corpus):
        if differs(each):
            raise click.ClickException(f"without any mutant {each.case['id']} differs")
        for function in mutants.called():
            reached[function].append(number)
    return dict(reached)


def by_tests(mutant: Mutant) -> int:
    """1 if the unit tests of the filters fail with `mutant` switched on."""
    import pytest

    mutants.switch_on(mutant.name)
    if not (found := unit_tests(mutant)):
        return 0
    asked = [str(path) for path in found]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *asked]) != 0)


def unit_tests(mutant: Mutant) -> list[Path]:
    """Unit tests that name the mutated module."""
    package, _, name = mutant.module.rpartition(".")
    found = []
    for path in sorted(TESTS.glob("model/test_*.py")):
        text = path.read_text(encoding="utf-8")
        if mutant.module in text or (package in text and re.search(rf"\b{name}\b", text)):
            found.append(path)
    return found


def listed() -> dict[tuple[str, ...], str]:
    """Mutants that may live -> why."""
    text = SURVIVORS.read_text(encoding="utf-8") if SURVIVORS.exists() else ""
    keys = ("module", "function", "before", "after")
    return {
        tuple(each[key] for key in keys): each["reason"]
        for each in tomllib.loads(text).get("survivor", ())
    }


def try_all(found: Sequence[Mutant], jobs: int, *, ask_tests: bool) -> dict[str, str]:
    """Name of each mutant -> what became of it."""
    from scheduler.commands.output import note, progress

    trial = Trial(recorded())
    forks = Forks(trial.judge, jobs)
    fates: dict[str, str] = {}
    with progress("mutants against the corpus") as step:
        for ended in forks.run(found, LONGEST):
            if ended.number:
                trial.learn(ended.what, ended.number)
            killed = ended.number or not ended.itself
            fates[ended.what.name] = BY_CORPUS if killed else SURVIVED
            step(len(fates), len(found))
    allowed = listed()
    left = [each for each in found if fates[each.name] == SURVIVED and each.key not in allowed]
    left = left if ask_tests else []
    note(f"the corpus lets {len(left)} of {len(found)} mutants live; unit tests next")
    with progress("survivors against unit tests") as step:
        for done, tested in enumerate(Forks(by_tests, jobs).run(left, LONGEST)):
            if tested.number or not tested.itself:
                fates[tested.what.name] = BY_TESTS
            step(done + 1, len(left))
    for each in found:
        if fates[each.name] == SURVIVED and each.key in allowed:
            fates[each.name] = LISTED
    return fates


def table(found: Sequence[Mutant], fates: dict[str, str]) -> list[dict[str, Any]]:
    """A row per module, and one for all."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        for module in (each.module, "all"):
            counts[module][fates[each.name]] += 1
    rows = []
    for module, of in sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])):
        killed = of[BY_CORPUS] + of[BY_TESTS]
        row: dict[str, Any] = {"module": module.removeprefix("scheduler.model.")}
        row |= {"mutants": of.total(), **{fate: of[fate] for fate in (BY_CORPUS, BY_TESTS, LISTED)}}
        rows.append({**row, SURVIVED: of[SURVIVED], "killed, %": 100 * killed / of.total()})
    return rows


@click.command()
@click.option("--jobs", default=2, show_default=True, help="Processes at a time.")
@click.option("--only", default="", help="A part of a module's name.")
@click.option("--tests/--no-tests", "ask_tests", default=True, help="Ask the unit tests as well.")
def main(jobs: int, only: str, *, ask_tests: bool) -> None:
    """Try every mutant of the filters."""
    finder = mutants.install(only)
    for name in finder.paths:
        importlib.import_module(name)
    from scheduler.commands.output import emit_table

    found = [mutant for loader in finder.loaders.values() for mutant in loader.mutants()]
    fates = try_all(found, jobs, ask_tests=ask_tests)
    emit_table(table(found, fates), "table")
    alive = [each for each in found if fates[each.name] == SURVIVED]
    for each in alive:
        parts = zip(("module", "function", "before", "after"), each.key, strict=True)
        click.echo("\n[[survivor]]\n" + "\n".join(f"{key} = '''{text}'''" for key, text in parts))
    killed = sum(fates[each.name] in {BY_CORPUS, BY_TESTS} for each in found) / len(found)
    click.echo(f"{len(found)} mutants, {killed:.1%} killed, {len(alive)} neither killed nor listed")
    raise SystemExit(0 if killed >= ENOUGH and not alive else 1)


if __name__ == "__main__":
    main()
