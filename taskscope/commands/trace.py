"""`taskscope trace`: where the time of single tasks went, and why."""

from typing import Annotated

import typer
from rich.console import Console

from grafana import TEMPO_UID
from taskscope import grafana, rundir, slowest, waterfall
from taskscope.commands.options import Directory, GrafanaUrl, Json
from taskscope.commands.output import print_result
from taskscope.derive import load


def trace(  # noqa: PLR0913 - the options of a question
    directory: Directory,
    *,
    count: Annotated[
        int,
        typer.Option("--slowest", min=1, metavar="N", help="How many, the slowest first."),
    ] = 10,
    task: Annotated[str | None, typer.Option(help="One task, by its id: all attempts.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only tasks that failed.")] = False,
    addresses: Annotated[
        bool, typer.Option("--open", help="Print the traces' addresses in Grafana.")
    ] = False,
    grafana_url: GrafanaUrl = None,
    tempo_datasource: Annotated[
        str, typer.Option(metavar="UID", help="Grafana's data source with the traces.")
    ] = TEMPO_UID,
    as_json: Json = False,
) -> None:
    """Show where the time of single tasks went, and why.

    Examples:
        taskscope trace runs/20261121T120000-throughput --slowest 20

        taskscope trace runs/20261121T120000-throughput --task 5b1e…

        taskscope trace runs/20261121T120000-throughput --failed --open --grafana-url http://host:3000

    """
    manifest = rundir.open_run(directory)
    base = grafana.base(grafana_url) if addresses else ""
    question = slowest.Question(count, task, failed=failed)
    records = slowest.answer(directory, manifest, load(directory, manifest), question)
    if addresses:
        records = slowest.with_addresses(records, base, tempo_datasource)
    draw = waterfall.show_attempts if task else waterfall.show_table
    print_result(as_json, records, lambda: draw(Console(), records))
