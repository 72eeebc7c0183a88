"""`taskscope export`: a run's dataset in another form."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from taskscope import exporting
from taskscope.commands.options import Directory, Json
from taskscope.commands.output import print_result


def export(
    directory: Directory,
    *,
    form: Annotated[
        Literal["legacy"],
        typer.Option("--format", help="A CSV file and statistics for each scenario, as JSON."),
    ] = "legacy",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to.  [default: results/ in the run]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's dataset in another form: that of the older suite.

    Example:
        taskscope export runs/20261121T120000-throughput --format legacy --out results

    """
    written = exporting.export(directory, form, out)
    print_result(as_json, written, lambda: typer.echo("\n".join(written)))
