"""`muster explain`: why one gang waits, or where it is."""

from __future__ import annotations

import click

from scheduler.commands.options import address_option, format_option
from scheduler.commands.output import emit_json, emit_table, note


@click.command("explain")
@click.argument("gang", metavar="NS/KIND/NAME")
@click.option("--members", is_flag=True, help="Also where each member is.")
@address_option
@format_option
def command(gang: str, address: str, output: str, *, members: bool) -> None:
    """Say why a gang waits, or where its members are.

    KIND is StatefulSet, Job and so on, PodGroup, Gang (for the label muster.dev/gang), or Pod.
    """
    from scheduler.serve import pages
    from scheduler.serve.client import Client

    doc = Client(address).explain(gang)
    if output == "json":
        emit_json(doc)
        return
    for line in [*pages.explain_lines(doc), ""]:
        click.echo(line)
    emit_table(pages.fact_rows(doc), output)
    if places := pages.place_rows(doc):
        click.echo()
        emit_table(places, output)
    if members and doc["ranks"]:
        click.echo()
        emit_table(pages.rank_rows(doc), output)
        if text := pages.rank_note(doc):
            note(text)
