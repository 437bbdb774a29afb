"""`muster verdicts`: what the filters say, case by case."""

from __future__ import annotations

from typing import BinaryIO

import click

from scheduler.errors import BadInputError


@click.command("verdicts")
@click.argument("cases", type=click.File("rb"), default="-")
def command(cases: BinaryIO) -> None:
    """Say for each case which nodes refuse its pod, and why.

    CASES: a file of JSON lines {id, nodes, pods, objects, pod}, standard input by default. Prints
    a line {id, verdicts} for each, in kube-scheduler's words.
    """
    import msgspec

    from scheduler import verdicts

    for number, line in enumerate(cases, 1):
        if not line.strip():
            continue
        try:
            answer = verdicts.verdicts_of(line)
        except BadInputError as error:
            what = f"{error.file}: {error.what}"
            raise BadInputError(cases.name, number, what, error.hint) from None
        click.echo(msgspec.json.encode(answer))
