"""Fresh random cases, judged by Muster and by kube-scheduler's own code.

    python -m tests.verdicts.differential --cases 20000 [--seed N] [--filter NAME] [--out DIR]

Exit code 1 on any difference that is not listed as legitimate, and if a filter never refused.
Differing cases are kept as files in DIR, the first ones of each kind made small. The default seed
is the hash of the commit; 1,000,000 cases are `--cases 1000000`.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from scheduler.commands.output import emit_table, progress
from tests.verdicts.compare import (
    EVERY,
    LEGITIMATE,
    Difference,
    differences,
    excuse,
    verdicts_of,
)
from tests.verdicts.generate import AIMS, cases
from tests.verdicts.shrink import shrink
from tests.verdicts.sides import Answer, both, muster_here, oracle
from tests.verdicts.world import Json

CHUNK = 2_000
SHRUNK = 1
"""Cases of one kind of difference that are made small; the others are kept as they are."""
ENOUGH = 2_000
"""From so many cases on, a filter that never refused is a fault of the generator."""
PLUGINS = tuple(name for name in AIMS if name != "NominatedPods")


@dataclass(slots=True)
class Tally:
    """What a run has seen."""

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(plugin, code) -> refusals by kube-scheduler, a refusal for all nodes counted once."""
    aimed: Counter[str] = field(default_factory=Counter)
    """Filter -> nodes that passed in cases that aimed at it alone."""
    passed: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Signature -> cases."""

    def add(self, case: Json, theirs: Answer) -> None:
        """Count kube-scheduler's verdicts on one case."""
        found = verdicts_of(theirs)
        for verdict in found.values():
            self.verdicts[verdict["plugin"], verdict["code"]] += 1
        if EVERY not in found:
            free = len(case["nodes"]) - len(found)
            self.passed += free
            self.aimed[case["id"].split("-")[-1]] += free

    def table(self) -> list[dict[str, str | int | float | bool | None]]:
        """A row per filter."""
        codes = ("Unschedulable", "UnschedulableAndUnresolvable", "Error")
        extra = sorted({plugin for plugin, _ in self.verdicts} - set(PLUGINS))
        return [
            {
                "filter": plugin or "(no plugin)",
                **{code: self.verdicts[plugin, code] for code in codes},
                "nodes passed when aimed at": self.aimed[plugin],
            }
            for plugin in (*PLUGINS, *extra)
        ]

    def silent(self) -> list[str]:
        """Filters that refused nothing."""
        seen = {plugin for plugin, _ in self.verdicts}
        return [plugin for plugin in PLUGINS if plugin not in seen]


def commit_seed() -> int:
    """The commit's hash as a number; 1 outside a checkout."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout, 16) if done.returncode == 0 else 1


def chunks(source: Iterator[Json], size: int) -> Iterator[list[Json]]:
    """`source` in lists of at most `size`."""
    while chunk := list(itertools.islice(source, size)):
        yield chunk


def judge(case: Json, answers: tuple[Answer, Answer], tally: Tally) -> list[Difference]:
    """The faults of one case; what is legitimate is only counted."""
    ours, theirs = answers
    tally.add(case, theirs)
    faults = []
    for each in differences(ours, theirs):
        name = excuse(case, each)
        if name:
            tally.excused[name] += 1
        else:
            faults.append(each)
    return faults


def keep(case: Json, faults: Sequence[Difference], tally: Tally, out: Path) -> None:
    """Write a differing case to a file, small if it is one of the first of its kind."""
    signature = faults[0].signature
    tally.faults[signature] += 1
    if tally.faults[signature] <= SHRUNK:
        case = shrink(case, lambda tried: _still_differ(tried, signature))
    ours, theirs = both([case], (muster_here, oracle))[0]
    out.mkdir(parents=True, exist_ok=True)
    name = case["id"].replace("/", "-")[:150]
    record = {"signature": signature, "ours": ours, "theirs": theirs, "case": case}
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (out / f"{name}.json").write_text(text, encoding="utf-8")


def _still_differ(tried: Sequence[Json], signature: str) -> list[bool]:
    answers = both(tried, (muster_here, oracle))
    return [
        any(d.signature == signature and not excuse(case, d) for d in differences(ours, theirs))
        for case, (ours, theirs) in zip(tried, answers, strict=True)
    ]


def run(count: int, seed: int, only: str, out: Path) -> Tally:
    """Generate, judge and compare `count` cases."""
    tally = Tally()
    done = 0
    with progress("cases") as step:
        for chunk in chunks(cases(count, seed, only), CHUNK):
            for case, answers in zip(chunk, both(chunk), strict=True):
                faults = judge(case, answers, tally)
                if faults:
                    keep(case, faults, tally, out)
            done += len(chunk)
            step(done, count)
    return tally


@click.command()
@click.option("--cases", "count", default=20_000, show_default=True, help="How many.")
@click.option("--seed", type=int, help="What they are drawn from [default: the commit's hash].")
@click.option("--filter", "only", type=click.Choice(list(AIMS)), help="Aim at one filter.")
@click.option("--out", type=click.Path(path_type=Path), default="out/verdicts", show_default=True,
              help="Where differing cases are kept.")  # fmt: skip
def main(count: int, seed: int | None, only: str | None, out: Path) -> None:
    """Compare Muster's verdicts with kube-scheduler's on random cases."""
    seed = commit_seed() if seed is None else seed
    click.echo(f"{count} cases from seed {seed}")
    tally = run(count, seed, only or "", out)
    emit_table(tally.table(), "table")
    click.echo(f"{tally.passed} (pod, node) pairs passed every filter")
    for each in LEGITIMATE:
        click.echo(f"legitimate, {tally.excused[each.name]} times: {each.cause}")
    for signature, number in tally.faults.most_common():
        click.echo(f"DIFFERENT, {number} cases: {signature} (Muster / kube-scheduler)")
    silent = tally.silent() if count >= ENOUGH and not only else []
    for plugin in silent:
        click.echo(f"NEVER REFUSED: {plugin}")
    if tally.faults:
        click.echo(f"differing cases are in {out}")
    raise SystemExit(1 if tally.faults or silent else 0)


if __name__ == "__main__":
    main()
