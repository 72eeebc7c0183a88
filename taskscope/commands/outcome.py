"""How a measured run ends: its summary, printed, and the exit code; or what is kept of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from extract.dataset import Dataset
from extract.manifest import FILE_NAME, Manifest
from taskscope import rundir
from taskscope import together as both
from taskscope.commands.output import INVALID, print_result

if TYPE_CHECKING:
    from taskscope.summary import Summary


def finish(directory: Path, manifest: Manifest, data: Dataset, *, as_json: bool) -> None:
    """Print what the run amounts to. Exit code 4 where some cell is invalid."""
    if manifest.together:
        document = both.outcome(directory, manifest, data)
        print_result(as_json, document, lambda: typer.echo("\n".join(both.described(document))))
        if document["problems"]:
            raise typer.Exit(INVALID)
        return
    from taskscope.summary import summarise  # noqa: PLC0415 - brings scipy, which takes long

    summary = summarise(directory, manifest, data)
    print_summary(summary, as_json=as_json)
    if not as_json:
        text = f"A page of it, to read and to send: taskscope report {directory}"
        Console().print(Text(text), soft_wrap=True)
    if not summary.trustworthy:
        raise typer.Exit(INVALID)


def print_summary(summary: "Summary", *, as_json: bool) -> None:
    """Print a comparison."""
    from taskscope.show import show  # noqa: PLC0415 - see above

    print_result(as_json, summary.as_json(), lambda: show(Console(), summary))


def cells_kept(directory: Path) -> str:
    """Say how many cells of a run that was ended early can be used; "" for none."""
    if (directory / FILE_NAME).exists() and (measured := len(rundir.open_run(directory).cells)):
        return f"{measured} cells were measured and are kept: taskscope extract {directory}"
    return ""
