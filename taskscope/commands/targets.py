"""`taskscope targets`: what runs announce to Prometheus."""

import json
from pathlib import Path
from typing import Annotated

import typer

from taskscope import interruption, rundir
from taskscope import targets as target_files
from taskscope.commands.output import say


def targets(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A folder of targets.", show_default=False)
    ] = rundir.DEFAULT_PARENT / "targets",
    *,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve them, for Prometheus' http_sd.")
    ] = None,
) -> None:
    """Print what runs announce to Prometheus, or serve it to one that cannot read the folder.

    Examples:
        taskscope targets

        taskscope targets runs/targets --serve 10.0.0.5:9465

    """
    if not serve:
        typer.echo(json.dumps(target_files.collect(directory), indent=2))
        return
    with target_files.serving(directory, serve) as url:
        say(f"serving the targets of {directory} at {url} until interrupted")
        interruption.wait()
