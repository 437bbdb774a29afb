"""Record the corpus: random cases and the oracle's verdicts, chosen so that edges occur often.

    python -m tests.verdicts.record [--pool N] [--seed N]

A case is taken if it shows something (a field, an operator or a value together with an outcome)
that few of the cases taken so far show. The same seed and oracle give the same files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import click

from scheduler.commands.output import progress
from tests.verdicts.corpus import CORPUS, LARGEST, marks, path_of, write
from tests.verdicts.differential import CHUNK, chunks
from tests.verdicts.generate import ALL, cases, line
from tests.verdicts.sides import oracle
from tests.verdicts.world import Json

Record = tuple[Json, dict[str, Any]]


def judged(count: int, seed: int) -> Iterator[Record]:
    """Random cases with the oracle's answers."""
    with progress("cases") as step:
        done = 0
        for chunk in chunks(cases(count, seed), CHUNK):
            answers = oracle([line(case).encode() for case in chunk])
            yield from zip(chunk, answers, strict=True)
            done += len(chunk)
            step(done, count)


def choose(records: Iterator[Record], each: int) -> list[Record]:
    """Cases that show something which fewer than `each` chosen before them show."""
    seen: Counter[str] = Counter()
    chosen = []
    for case, answer in records:
        shown = marks(case, answer)
        if any(seen[mark] < each for mark in shown):
            seen.update(shown)
            chosen.append((case, answer))
    return chosen


def aim_of(case: Json) -> str:
    """The one filter that a case aims at, or `Everything`."""
    aims = str(case["id"]).split("-")[-1]
    return ALL if "+" in aims or not aims else aims


@click.command()
@click.option("--pool", default=60_000, show_default=True, help="Cases to choose from.")
@click.option("--seed", default=1, show_default=True, help="What they are drawn from.")
@click.option("--each", default=2, show_default=True, help="Cases that show the same.")
def main(pool: int, seed: int, each: int) -> None:
    """Write tests/verdicts/corpus anew."""
    files: defaultdict[str, list[Record]] = defaultdict(list)
    for case, answer in choose(judged(pool, seed), each):
        files[aim_of(case)].append((case, answer))
    for path in CORPUS.glob("*.xz"):
        path.unlink()
    for aim, found in sorted(files.items()):
        write(path_of(aim), found)
    size = sum(path.stat().st_size for path in CORPUS.glob("*.xz"))
    click.echo(f"{sum(map(len, files.values()))} cases, {size} bytes")
    if size > LARGEST:
        raise SystemExit(f"more than {LARGEST} bytes: take a smaller --each or --pool")


if __name__ == "__main__":
    main()
