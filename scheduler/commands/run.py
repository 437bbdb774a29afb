"""`muster run`: the scheduler."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("run")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), required=True, metavar="FILE",
    help="The configuration (see `muster config check`).",
)  # fmt: skip
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), metavar="FILE",
    help="Credentials for the API server  [default: as kubectl, or the pod's own]",
)  # fmt: skip
@click.option("--listen", metavar="HOST:PORT", help="Overrides `listen` of the configuration.")
def command(file: Path, kubeconfig: Path | None, listen: str | None) -> None:
    """Schedule the pods that name this scheduler, until SIGTERM or Ctrl-C."""
    from scheduler import log
    from scheduler.app import run
    from scheduler.config import parse_listen, read_config
    from scheduler.config_table import remarks

    config, where = read_config(file)
    if listen is not None:
        parse_listen(listen)
    log.configure(config.log.level, json=config.log.format == "json")
    for remark in remarks(where):
        log.get(__name__).warning(remark)
    run(config, kubeconfig, listen or config.listen)
