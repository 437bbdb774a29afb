"""`make bench-live`: Muster and kube-scheduler on a real API server, beside the ceiling.

    python bench/live.py                            # 3 runs of everything: half an hour on 2 cores
    python bench/live.py --skip-slow                # without kube-scheduler's gang (5 min a run)
    python bench/live.py --only muster --runs 1     # cases whose name contains the word
    python bench/live.py --docs                     # what was measured into docs/benchmarks.md

Writes bench/out/live.json, a row per scenario and contender, after every single run. An
interrupted measurement goes on where it stopped; --fresh begins anew.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

# Its own modules, and e2e, which is not in the wheel.
sys.path.extend(map(str, Path(__file__).resolve().parents[:2]))

import go_tools
import live_page
from live_plane import LiveError
from live_run import CASES, NODES, PODS, SLOW, Case, Run, machine, run

from e2e.binaries import BinariesError, find_or_build
from e2e.processes import ProcessError
from scheduler.commands.output import emit_table

OUT = Path(__file__).with_name("out")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
IMAGES = PAGE.parent / "images"
BEGIN, END = "<!-- bench-live: begin -->", "<!-- bench-live: end -->"


@dataclass
class Row:
    """Everything measured of one case."""

    scenario: str
    contender: str
    runs: list[Run] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As in live.json: medians of the runs, and the runs."""
        middle = {
            name: _median([getattr(run, name) for run in self.runs])
            for name in ("first_s", "last_s", "per_s", "quiet_s", "peak_mib")
        }
        per_1000 = {
            name: round(_median([run.cpu_s[name] for run in self.runs]) * 1_000 / PODS, 3)
            for name in self.runs[0].cpu_s
        }
        return {
            "scenario": self.scenario,
            "contender": self.contender,
            "pods": PODS,
            "nodes": NODES,
            **middle,
            "cpu_s_per_1000": per_1000,
            "runs": [asdict(run) for run in self.runs],
        }


@click.command()
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--only", multiple=True, metavar="WORD", help="Only cases with WORD in their name.")
@click.option("--skip-slow", is_flag=True, help="Without kube-scheduler's gang: 5 minutes a run.")
@click.option("--fresh", is_flag=True, help="Forget the runs that live.json has.")
@click.option("--docs", is_flag=True, help="Put tables and plot into docs/benchmarks.md.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=OUT, show_default=True
)
def main(
    runs: int, only: tuple[str, ...], out: Path, *, skip_slow: bool, fresh: bool, docs: bool
) -> None:
    """Measures what live.json lacks, and prints the tables."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "live.json"
    rows = {} if fresh else read(file)
    chosen = [case for case in CASES if not only or any(word in case.name for word in only)]
    if skip_slow:
        chosen.remove(SLOW)
    try:
        go_tools.build()
        find_or_build(["etcd", "kube-apiserver", "kubectl", "kube-scheduler"])
        measure(chosen, runs, rows, file)
    except (LiveError, ProcessError, BinariesError, go_tools.GoToolsError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("interrupted: the runs that are over are kept", err=True)
        sys.exit(130)
    documents = [row.document() for row in rows.values()]
    for title, table in live_page.tables(documents):
        click.echo()
        emit_table(table, "table", title=title)
    if docs:
        live_page.draw(documents, IMAGES)
        where = machine()
        text = live_page.markdown(documents, where["cpus"], where["model"])
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def measure(chosen: list[Case], runs: int, rows: dict[str, Row], file: Path) -> None:
    """Contenders take turns, so that a slow minute of the machine meets all of them."""
    for number in range(runs):
        for case in chosen:
            row = rows.setdefault(case.name, Row(case.scenario, case.contender))
            if len(row.runs) > number:
                continue
            click.echo(f"{case.name}, run {number + 1} of {runs} ...", err=True)
            row.runs.append(run(case))
            click.echo(f"  {row.runs[-1]}", err=True)
            write(rows, file)


def write(rows: dict[str, Row], file: Path) -> None:
    """live.json, in the order of CASES."""
    order = [case.name for case in CASES]
    kept = [rows[name].document() for name in sorted(rows, key=order.index) if rows[name].runs]
    document = {"machine": machine(), "rows": kept}
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read(file: Path) -> dict[str, Row]:
    """What an earlier call has measured."""
    if not file.exists():
        return {}
    found: dict[str, Row] = {}
    for case in CASES:
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            if (row["scenario"], row["contender"]) == (case.scenario, case.contender):
                runs = [Run(**run) for run in row["runs"]]
                found[case.name] = Row(case.scenario, case.contender, runs)
    return found


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
