"""`muster status`: how a running scheduler is doing."""

from __future__ import annotations

import click

from scheduler.commands.options import address_option, format_option
from scheduler.commands.output import emit_json, emit_table, note


@click.command("status")
@click.option("--all", "everybody", is_flag=True, help="List placed gangs, too.")
@address_option
@format_option
def command(address: str, output: str, *, everybody: bool) -> None:
    """Show a running scheduler: its health, the cluster, and the gangs that wait."""
    from scheduler.serve import pages
    from scheduler.serve.client import Client

    client = Client(address)
    ready, status, gangs = client.ready(), client.status(), client.gangs()
    if output == "json":
        emit_json({"ready": ready, "status": status, "gangs": gangs})
        return
    for line in [*pages.health_lines(ready), "", *pages.status_lines(status), ""]:
        click.echo(line)
    emit_table(pages.resource_rows(status), output)
    rows = pages.gang_rows(gangs, everybody=everybody)
    if rows:
        click.echo()
        emit_table(rows, output)
    left = len(gangs) - len(rows)
    if left:
        note(f"placed and not listed: {left} (--all lists them)")
